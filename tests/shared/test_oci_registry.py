"""The registry door for an OCI registry, the words that ``anka`` gets for it, and what is refused there."""

from __future__ import annotations

import json

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.host.release import Release
from anka_ci.host.words import Words
from anka_ci.oci import Oci
from anka_ci.server.app import Server
from anka_ci.settings import Context, load
from anka_ci.wire.address import Address
from anka_ci.wire.manifest import Layer, Manifest, oci_tag
from registries import front

ID = "0f1e2d3c-0000-43dc-54dc-000000000001"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a registry with one template: v1, v2 (which latest is an alias of) and a tag of a person's own."""
    with Server(tmp_path_factory.mktemp("data")) as server:
        oci = Oci(server.registry_url, Anka(Context()), foreign=True)
        for tag, description in (("v1", "first"), ("v2", ""), ("feature+x", "")):
            content = version(oci, tag, description)
            oci.put_manifest("team/sonoma", oci_tag(tag), content)
            if tag == "v2":
                oci.put_manifest("team/sonoma", "latest", content)
        yield server.registry_url.replace("http", "oci+http") + "/team"


def version(oci, tag, description="", name="Sonoma"):
    layers = [
        Layer(file=f"{each.encode().hex()}.ank", digest=oci.put_content("team/sonoma", each.encode()), size=len(each))
        for each in ("base", tag)
    ]
    config = oci.put_content("team/sonoma", b'{"ram": "4G"}')
    made = Manifest(
        id=ID,
        name=name,
        tag=tag,
        arch="arm64",
        description=description,
        config_digest=config,
        config_size=13,
        layers=tuple(layers),
    )
    return made.emit()


def doors(url, **more):
    return Anka(Context(registry_urls=(url,), **more), clock=ManualClock())


def test_a_template_is_a_repository_and_latest_an_alias(url):
    registry = doors(url).registry
    template = registry.template("sonoma")
    assert (ID, "Sonoma", "arm64", False) == (template.id, template.name, template.arch, template.stacked)
    assert ["feature+x", "v1", "v2"] == [each.tag for each in template.versions]
    assert ("v2", "v2") == (template.newest.tag, template.pick("latest").tag)
    first = template.pick("v1")
    assert (6, "first", None) == (first.size, first.description, first.numbered)
    assert ("7631.ank", "62617365.ank") == first.images
    assert () == template.newer_than(first)
    assert {"ram": "4G"} == registry.config(template, first)
    assert "sonoma" == registry.sought(template)
    assert template == registry.by_id(ID)
    assert template == registry.home("another-id", "Sonoma", "arm64")
    assert registry.home(ID, "nothing", "arm64") is None
    assert registry.home(ID, "no repository", "arm64") is None
    with pytest.raises(UsageError, match="versions have no numbers"):
        template.pick(number=0)
    with pytest.raises(NotFoundError, match="no template 'nothing'"):
        registry.template("nothing")


def test_without_latest_the_tag_has_to_be_named(url):
    with front(url.replace("oci+", "").removesuffix("/team"), gone="/manifests/latest") as there:
        template = doors(there.url.replace("http", "oci+http") + "/team").registry.template("sonoma")
        with pytest.raises(NotFoundError, match="no tag 'latest'") as caught:
            template.pick()
        assert "feature+x, v1, v2" in caught.value.hint


def test_steps_that_read_it(url):
    shown = perform("show", {"template": "sonoma", "tag": "v1", "config": "true"}, doors(url)).outputs
    assert (None, "first", 6, {"ram": "4G"}) == (
        shown.get("version"),
        shown["description"],
        shown["size"],
        shown["config"],
    )
    assert [None] * 3 == [each["number"] for each in shown["versions"]]
    assert "v2" == perform("show", {"template": "sonoma"}, doors(url)).outputs["tag"]
    assert 1 == perform("list", {"template": "sonoma"}, doors(url)).outputs["count"]
    with pytest.raises(NotFoundError):
        perform("list", {"template": "nothing"}, doors(url))
    with pytest.raises(RefusedError, match="does not list its repositories"):
        perform("list", {}, doors(url))


@pytest.mark.parametrize(
    ("step", "inputs", "said"),
    [
        ("revert", {"template": "sonoma", "tag": "v1"}, "revert: .* is an OCI registry: it keeps tags, no stack"),
        ("delete", {"template": "sonoma"}, "delete: .* is an OCI registry"),
        ("distribute", {"template": "sonoma", "tag": "v1", "all": "true"}, "distribute: .* no controller knows it"),
        ("start-instance", {"template": "sonoma"}, "start an instance: .* is an OCI registry"),
        ("show", {"template": "sonoma", "version": "0"}, "versions have no numbers"),
    ],
)
def test_what_needs_numbers_a_stack_or_a_controller_is_refused(url, step, inputs, said):
    with pytest.raises((RefusedError, UsageError), match=said):
        perform(step, inputs, doors(url, controller_url="http://127.0.0.1:1"), plan_only=True)


def test_the_next_registry_where_one_does_not_answer(url):
    told = []
    context = Context(registry_urls=("oci+http://127.0.0.1:1/team", url))
    registry = Anka(context, clock=ManualClock(), tell=told.append).registry
    assert (url, 1) == (registry.url, len(told))
    assert "Running" == registry.status().status
    with pytest.raises(UnreachableError):
        doors("oci+http://127.0.0.1:1/team").registry.status()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a:8089", None),
        ("oci://oci.example", ("https://oci.example", "")),
        ("oci://oci.example/team/vms/", ("https://oci.example", "team/vms")),
        ("oci+http://127.0.0.1:5000/x", ("http://127.0.0.1:5000", "x")),
    ],
)
def test_addresses(text, expected):
    found = Address.read(text)
    assert expected == (found and (found.url, found.prefix))
    assert found is None or text.rstrip("/") == found.emit()


@pytest.mark.parametrize("text", ["oci://", "oci:///team", "oci://oci.example/Team", "oci://o x/x", "oci://u:p@h/x"])
def test_what_is_no_address_is_told_at_once(text):
    with pytest.raises(UsageError, match="the registry URL"):
        load({"HOME": "/nowhere", "ANKA_CI_REGISTRY_URL": text})


def test_anka_and_oci_registries_are_no_copies_of_each_other(tmp_path):
    (tmp_path / "settings.yml").write_text(
        "default: x\ncontexts:\n  x:\n    registries: [http://a:8089, oci://oci.example/team]\n"
    )
    with pytest.raises(UsageError, match="names Anka and OCI registries"):
        load({"ANKA_CI_SETTINGS": str(tmp_path / "settings.yml")})


def test_the_words_of_3_9():
    words = Words(Release(numbers=(3, 9, 1)))
    told = [
        words.registry("oci://oci.example/team", ["--cacert", "/ca"]),
        words.registry("oci://oci.example"),
        words.size("sonoma", "v1", "oci://oci.example/team", []),
    ]
    assert [
        "registry --remote https://oci.example --oci-version v2 --prefix team --cacert /ca",
        "registry --remote https://oci.example --oci-version v2",
        "pull --oci-version v2 --prefix team --check-download-size --tag v1 sonoma https://oci.example",
    ] == [" ".join(each) for each in told]
    with pytest.raises(RefusedError, match=r"3\.8\.5\) has no way to the OCI registry oci://oci\.example/team"):
        Words(Release(numbers=(3, 8, 5))).registry("oci://oci.example/team")


def test_a_list_of_what_the_registry_tells():
    from foreign import foreign, reply

    content = json.dumps({"repositories": ["team/b", "team/a", "team/c/deep", "other/x"]}).encode()
    with foreign(reply(200, content)) as there:
        found = doors(there.url.replace("http", "oci+http") + "/team").registry.templates()
    assert ["a", "b"] == [each.name for each in found]
