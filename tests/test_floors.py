"""Who may import whom: the floors of the house, read with ``ast`` from every file."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORE = ROOT / "shared" / "anka_ci"
FLOORS = {
    0: {
        "errors",
        "secret",
        "inputs",
        "plan",
        "result",
        "wire",
        "document",
        "process",
        "process_group",
        "process_table",
        "streams",
        "holding",
        "clock",
        "flush",
    },
    1: {"transport", "outcome", "auth", "oci", "reach"}
    | {
        "registry",
        "oci_registry",
        "registry_view",
        "controller",
        "devices",
        "instances",
        "node_groups",
        "api_keys",
        "offer",
        "host",
        "runners",
        "settings",
        "anka",
    },
    2: {"rules"},
    3: {"steps"},
    4: {"desk", "pipeline", "render", "adapter", "faces"},
    6: {"cli", "commands", "console", "progress", "serve", "trial", "account", "junit"},
}
SIDE_ROOMS = {"server": 0, "standin": 1}
OWNERS = {
    "requests": {"transport"},
    "yaml": {"document"},
    "jinja2": {"render", "pipeline/expressions"},
    "sqlite3": {"server/state"},
    "subprocess": {"process"},
    "cryptography": {"auth/keys", "server/certificates", "server/key_pair"},
    "aiohttp": {"server/app", "server/routes", "server/oci", "server/uploads", "server/upset"},
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}


@functools.cache
def imports(file: Path) -> list[str]:
    """The modules a file imports, but for those it names only as types."""
    tree = ast.parse(file.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "anka_ci":
            found += [f"anka_ci.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found.append(str(getattr(node.args[0], "value", "")))
    return found


def room(file: Path) -> str:
    return file.relative_to(CORE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    found = sorted(CORE.rglob("*.py"))
    assert len(found) > 30
    return found


def test_a_room_imports_only_from_its_own_floor_and_below():
    wrong = []
    for file in files():
        here = room(file)
        allowed = SIDE_ROOMS.get(here, FLOOR_OF.get(here, 0))
        for name in imports(file):
            there = name.removeprefix("anka_ci.").split(".")[0] if name.startswith("anka_ci.") else ""
            if not there or there in (here, "__version__"):
                continue
            floor = FLOOR_OF.get(there, 6 if there in SIDE_ROOMS else 99)
            if floor > allowed or (here in ("rules", "steps") and floor == 1):
                wrong.append(f"{file.relative_to(ROOT)} imports {name}")
    assert [] == wrong


def test_a_step_imports_no_other_step_and_not_the_catalog():
    wrong = [
        f"{file.name} imports {name}"
        for file in (CORE / "steps").glob("*.py")
        for name in imports(file)
        if name.startswith("anka_ci.steps.")
    ]
    assert [] == wrong


def test_every_third_party_package_has_one_owner():
    wrong = []
    for file in files():
        here = str(file.relative_to(CORE).with_suffix(""))
        for name in imports(file):
            owners = OWNERS.get(name.split(".")[0])
            if owners is not None and here not in owners:
                wrong.append(f"{here} imports {name}")
    assert [] == wrong


def test_github_and_jenkins_are_spoken_to_only_by_the_service_of_their_adapter():
    owners = {"github": ROOT / "actions" / "anka_ci_actions", "jenkins": ROOT / "jenkins" / "anka_ci_jenkins"}
    wrong = []
    for folder in (CORE, *owners.values()):
        for file in folder.rglob("*.py"):
            service = file.relative_to(folder).parts[0].removesuffix(".py") == "service"
            found = {name.split(".")[0] for name in imports(file)} & {*owners}
            wrong += [
                f"{file.relative_to(ROOT)} imports {name}" for name in found if owners[name] != folder or not service
            ]
    assert [] == wrong


def test_nothing_hides_python_jenkins():
    assert [] == [*ROOT.glob("jenkins/__init__.py"), *ROOT.glob("tests/**/__init__.py")]
