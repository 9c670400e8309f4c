"""``doctor`` and an OCI registry: there, not letting us in, not one, not there."""

from __future__ import annotations

import json

from registries import front

AREA = "the OCI registry"


def test_an_oci_registry(doctor, served):
    def examined(env=None, **manners):
        with front(served.registry_url, **manners) as there:
            url = there.url.replace("http", "oci+http") + "/team"
            return doctor("--registry-url", url, **(env or {}))

    found = examined()
    assert ("ok", "speaks the OCI distribution API | ") == found.tell("answer", AREA)
    assert "docker login" in found.tell("sign-in", AREA)[1]
    assert "not known" == found.tell("may change", AREA)[0]
    found = examined({"ANKA_REGISTRY_USER": "me:hush-hush"}, sign_in="basic")
    assert (5, "problem") == (found.code, found.tell("sign-in", AREA)[0])
    assert "check the user and password from ANKA_REGISTRY_USER" in found.tell("sign-in", AREA)[1]
    assert "hush-hush" not in json.dumps(found.document)
    assert "let in as" in examined({"ANKA_REGISTRY_USER": "me:secret"}, sign_in="basic").tell("sign-in", AREA)[1]
    assert "problem" == examined(gone="/v2/").tell("answer", AREA)[0]
    found = examined({"ANKA_CI_ANKA": served.anka})
    assert ("warning", True) == (found.tell("anka and OCI")[0], "3.8.5 speaks to no OCI registry" in found.out)


def test_an_oci_registry_that_is_not_there(doctor):
    found = doctor("--registry-url", "oci+http://127.0.0.1:1/team")
    assert (6, "problem") == (found.code, found.tell("connection", AREA)[0])
    assert "not known" == found.tell("answer", AREA)[0]
