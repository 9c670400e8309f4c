"""Jenkins' remote API in small, over real HTTP on loopback: crumbs, folders, jobs, queue, builds, plugins, faults.

Stateful, and it rewrites what it is given as Jenkins does: XML 1.1, versions of plugins, fields with their defaults,
and what a Jenkinsfile declares once it has run. Never a mock of our own code: python-jenkins speaks to it.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

USER, TOKEN, CRUMB = "somebody", "11a token of somebody", "a-crumb"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
KNOWN = {"flow-definition", "project", FOLDER, "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"}
CLASSES = {
    "flow-definition": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
    "project": "hudson.model.FreeStyleProject",
}
PLUGINS = {
    "flow-definition": "workflow-job@1400.v7fd111b_ec82f",
    FOLDER: "cloudbees-folder@6.921",
    "scm": "git@5.2.2",
}
DECLARED = """<properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions/>
</hudson.model.ParametersDefinitionProperty></properties>"""


@dataclass
class Build:
    number: int
    parameters: dict[str, str]
    polls: int = 0
    log: str = ""
    aborted: bool = False


@dataclass
class Job:
    root: ET.Element
    builds: list[Build] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return CLASSES.get(self.root.tag, self.root.tag)


class Jenkins:
    """The server's state. ``faults`` maps a pattern of ``VERB path`` to what is done instead of answering, so often."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.requests: list[str] = []
        self.faults: list[list[Any]] = []
        self.users = {USER: TOKEN}
        self.allowed = {"read", "configure"}
        self.results: dict[str, str] = {}
        self.plugins = {"workflow-job": "1400", "workflow-cps": "3900", "git": "5.2.2"}
        self.queue: dict[int, tuple[str, dict[str, str]]] = {}
        self.waits: dict[int, int] = {}
        self.cancelled: set[int] = set()
        self.full = False
        self.release = threading.Event()
        self.lock = threading.RLock()
        self.url = ""

    def fail(self, pattern: str, what: Any, times: int = 1) -> None:
        """Answer requests that match with a status, html or crumb, or hang, or drop the connection (late: after it)."""
        self.faults.append([re.compile(pattern), what, times])

    def asked(self, pattern: str) -> int:
        return sum(1 for each in self.requests if re.search(pattern, each))

    def put(self, name: str, xml: str) -> None:
        """Keep a configuration as Jenkins does. ``ValueError`` for what it cannot read."""
        root = ET.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", xml))
        if root.tag not in KNOWN:
            raise ValueError(f"CannotResolveClassException: {root.tag}")
        for element in root.iter():
            if element is root or element.tag == "scm":
                element.set("plugin", PLUGINS.get(element.tag, "workflow-multibranch@795"))
            if element.tag.endswith("StringParameterDefinition"):
                ET.SubElement(element, "trim").text = "false"
            if element.tag.endswith("DisableConcurrentBuildsJobProperty"):
                ET.SubElement(element, "abortPrevious").text = "false"
        defaults = {"disabled": "false"} if root.tag != FOLDER else {}
        if root.tag == "flow-definition":
            defaults |= {"keepDependencies": "false", "actions": "", "triggers": ""}
        else:
            defaults |= {"actions": "", "healthMetrics": "", "folderViews": ""}
        for tag, text in defaults.items():
            if root.find(tag) is None:
                ET.SubElement(root, tag).text = text
        root[:] = sorted(root, key=lambda child: child.tag[::-1])  # its own order
        if name in self.jobs:
            self.jobs[name].root = root
        else:
            self.jobs[name] = Job(root)

    def config(self, name: str) -> str:
        return "<?xml version='1.1' encoding='UTF-8'?>\n" + ET.tostring(self.jobs[name].root, encoding="unicode")

    def edit(self, name: str, old: str, new: str) -> None:
        """Somebody changes a configuration by hand."""
        text = self.config(name)
        assert old in text, text
        self.put(name, text.replace(old, new))

    def ran(self, name: str) -> None:
        """A Jenkinsfile has run: what it declares is in the job now."""
        root = self.jobs[name].root
        for child in [*root.findall("properties"), *root.findall("actions")]:
            root.remove(child)
        root.append(ET.fromstring(DECLARED))
        root.append(ET.fromstring("<actions><tracker plugin='x@1'><option>a</option></tracker></actions>"))

    def below(self, folder: str) -> dict[str, str]:
        """The items of a folder by short name."""
        prefix = f"{folder}/" if folder else ""
        names = [name for name in self.jobs if name.startswith(prefix) and "/" not in name[len(prefix) :]]
        return {name[len(prefix) :]: name for name in names}


@contextmanager
def serve() -> Iterator[Jenkins]:
    """A server on loopback until the block ends."""
    state = Jenkins()

    class Bound(_Handler):
        jenkins = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/ci"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    jenkins: Jenkins
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, verb: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        target = urlsplit(self.path)
        path, query = target.path.removeprefix("/ci"), {k: v[0] for k, v in parse_qs(target.query, True).items()}
        with self.jenkins.lock:
            self.jenkins.requests.append(f"{verb} {unquote(path)}")
            fault = next(
                (each for each in self.jenkins.faults if each[2] and each[0].search(self.jenkins.requests[-1])), None
            )
            if fault is not None:
                fault[2] -= 1
            if fault is None or fault[1] == "drop-late":
                status, text, headers = self._route(verb, path, query, body)
        if fault is not None and fault[1] != "drop-late":
            self._fault(fault[1])
            return
        if fault is not None:
            self._fault("drop")
        else:
            self._send(status, text, **headers)

    def _fault(self, what: Any) -> None:
        if what == "drop":
            self.close_connection = True
            self.connection.close()
        elif what == "crumb":
            self._send(403, "<html>No valid crumb was included in the request</html>", type="text/html")
        elif what == "hang":
            self.jenkins.release.wait(60)
            self.close_connection = True
        elif what == "html":
            self._send(200, "<!DOCTYPE html><html><head><title>Sign in</title></head></html>", type="text/html")
        else:
            self._send(
                what,
                "<html><head><title>Oops</title></head><body><h1>Oops!</h1>A problem.</body></html>",
                type="text/html",
            )

    def _send(self, status: int, text: str, type: str = "application/json;charset=utf-8", **headers: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("X-Jenkins", "2.446")
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _user(self) -> str | None:
        """Who asks; empty for nobody, None for a wrong token."""
        given = self.headers.get("Authorization", "")
        if not given:
            return ""
        user, _, token = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        return user if self.jenkins.users.get(user) == token else None

    def _route(self, verb: str, path: str, query: dict[str, str], body: str) -> tuple[int, str, dict[str, str]]:
        jenkins, user = self.jenkins, self._user()
        if user is None:
            return 401, "<html>Unauthorized</html>", {"type": "text/html"}
        if not user or "read" not in jenkins.allowed:
            return 403, f"<html><body>{user or 'anonymous'} is missing the Overall/Read permission</body></html>", {}
        if path == "/crumbIssuer/api/json":
            return 200, json.dumps({"crumb": CRUMB, "crumbRequestField": "Jenkins-Crumb"}), {}
        if verb == "POST" and self.headers.get("Jenkins-Crumb") != CRUMB:
            return 403, "<html>No valid crumb was included in the request</html>", {"type": "text/html"}
        if verb == "POST" and "configure" not in jenkins.allowed:
            return 403, f"<html><body>{user} is missing the Job/Configure permission</body></html>", {}
        found = re.fullmatch(r"((?:/job/[^/]+)*)/(.*)", path)
        assert found is not None
        name = "/".join(unquote(part) for part in found[1].split("/job/")[1:])
        return self._job(verb, name, found[2], query, body)

    def _job(
        self, verb: str, name: str, rest: str, query: dict[str, str], body: str
    ) -> tuple[int, str, dict[str, str]]:
        jenkins = self.jenkins
        if rest.startswith("queue/"):
            return self._queue(rest, query)
        if rest == "pluginManager/api/json":
            keys = [{"shortName": k, "longName": k, "version": v, "active": True} for k, v in jenkins.plugins.items()]
            return 200, json.dumps({"plugins": keys}), {}
        if name and name not in jenkins.jobs:
            return 404, "<html>Not Found</html>", {"type": "text/html"}
        if rest == "createItem" and "name" not in query:
            return 400, "<html><body>Query parameter 'name' is required</body></html>", {"type": "text/html"}
        if rest == "createItem":
            new = f"{name}/{query['name']}" if name else query["name"]
            if new in jenkins.jobs:
                return 400, "", {"X_Error": f"A job already exists with the name '{query['name']}'"}
            return self._put(new, body)
        if rest == "config.xml":
            return self._put(name, body) if verb == "POST" else (200, jenkins.config(name), {"type": "application/xml"})
        if rest == "doDelete":
            for each in [each for each in jenkins.jobs if each == name or each.startswith(f"{name}/")]:
                del jenkins.jobs[each]
            return 302, "", {"Location": f"{jenkins.url}/"}
        if rest == "api/json":
            return 200, json.dumps(self._tree(name, query.get("tree", "name,jobs[name]"))), {}
        if rest in ("build", "buildWithParameters"):
            number = len(jenkins.queue) + 1
            jenkins.queue[number] = (name, query)
            return 201, "", {"Location": f"{jenkins.url}/queue/item/{number}/"}
        found = re.fullmatch(r"(\d+)/(.*)", rest)
        if found is not None:
            return self._build(jenkins.jobs[name], name, int(found[1]), found[2], query)
        return 200, "<html>a page</html>", {"type": "text/html"}

    def _put(self, name: str, body: str) -> tuple[int, str, dict[str, str]]:
        try:
            self.jenkins.put(name, body)
        except (ET.ParseError, ValueError) as error:
            return 500, f"<html><body><h1>Oops!</h1>{error}</body></html>", {"type": "text/html"}
        return 200, "", {}

    def _tree(self, name: str, tree: str) -> dict[str, Any]:
        """What ``tree=`` asks for: name, description, _class, property, jobs[…]."""
        found: dict[str, Any] = {"_class": "hudson.model.Hudson"}
        if name:
            job = self.jenkins.jobs[name]
            found = {
                "_class": job.kind,
                "name": name.rpartition("/")[2],
                "description": job.root.findtext("description"),
            }
            asks = job.root.findall(".//parameterDefinitions/*/name")
            found["property"] = [{}, {"parameterDefinitions": [{"name": each.text} for each in asks]}] if asks else [{}]
        inner = re.search(r"jobs\[(.*)\]", tree)
        if inner is not None and (not name or self.jenkins.jobs[name].root.tag == FOLDER):
            found["jobs"] = [self._tree(each, inner[1]) for each in self.jenkins.below(name).values()]
        return found

    def _queue(self, rest: str, query: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        jenkins = self.jenkins
        if rest == "queue/cancelItem":
            jenkins.cancelled.add(int(query["id"]))
            return 404, "", {}  # so Jenkins answers, although it does it: JENKINS-21311
        number = int(re.findall(r"\d+", rest)[0])
        if number not in jenkins.queue:
            return 404, "", {}
        name, parameters = jenkins.queue[number]
        if number in jenkins.cancelled:
            return 200, json.dumps({"id": number, "cancelled": True}), {}
        jenkins.waits[number] = jenkins.waits.get(number, 0) + 1
        if jenkins.full or jenkins.waits[number] < 2:
            return 200, json.dumps({"id": number, "why": "Waiting for next available executor on ‘macos’"}), {}
        job = jenkins.jobs[name]
        if jenkins.waits[number] == 2:
            job.builds.append(Build(len(job.builds) + 1, parameters, log="Started by user somebody\n"))
        build = job.builds[-1]
        url = f"{jenkins.url}/job/{'/job/'.join(name.split('/'))}/{build.number}/"
        return 200, json.dumps({"id": number, "executable": {"number": build.number, "url": url}}), {}

    def _build(
        self, job: Job, name: str, number: int, rest: str, query: dict[str, str]
    ) -> tuple[int, str, dict[str, str]]:
        jenkins, build = self.jenkins, job.builds[number - 1]
        if rest == "stop":
            build.aborted = True
            return 302, "", {"Location": f"{jenkins.url}/"}
        if rest == "logText/progressiveText":
            log, start = build.log.encode(), int(query["start"])
            more = {"X_More_Data": "true"} if build.polls < 3 and not build.aborted else {}
            text = log[start:].decode()
            return 200, text, {"type": "text/plain;charset=UTF-8", "X_Text_Size": str(len(log)), **more}
        build.polls += 1
        build.log += f"line {build.polls} of {name} ünï\n"
        going = (build.polls < 3 or jenkins.full) and not build.aborted
        result = None if going else "ABORTED" if build.aborted else jenkins.results.get(name, "SUCCESS")
        return 200, json.dumps({"building": going, "result": result, "number": number}), {}
