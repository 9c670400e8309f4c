"""What scripts of the field do with ``anka``, in real shells: their pipes, greps and cuts, on the stand-in.

Each script does what one integration does, in words of our own (section 7 of the reference names the source); it runs
with ``set -euo pipefail``, so that any step that fails ends it.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

from anka_ci.server.app import Server
from conftest import plain_env
from integration.conftest import tool

SCRIPTS = {
    "buildkite, with a registry that answers": r"""
        anka registry add registry_1 "$URL"
        [[ $(anka registry list) ]]
        [[ $(anka registry list-repos -d | grep id | cut -d' ' -f8) == registry_1 ]]
        if anka $ANKA_DEBUG list sonoma; then exit 9; fi
        anka $ANKA_DEBUG registry pull --tag base -s sonoma
        anka $ANKA_DEBUG clone sonoma sonoma-job
        ops=()
        ( anka list sonoma-job 2>/dev/null | grep -q suspended ) && ops+=(--force)
        anka stop "${ops[@]:+${ops[@]}}" sonoma-job
        anka modify sonoma-job set cpu 6
        anka modify sonoma-job set ram 32G
        anka modify sonoma-job set network-card --mac 02:11:22:33:44:55
        printf 'A=1\nQUOTED="x y"\n' > env
        anka run --env-file env -e B=2 sonoma-job true
        [[ $(anka run --env-file env -e B=2 sonoma-job bash -c 'echo "$A $B $QUOTED"') == '1 2 "x y"' ]]
        mkdir -p in && echo hello > in/file
        anka cp -a in sonoma-job:work
        anka cp -a "$(command -v anka)" sonoma-job:/usr/local/bin/
        [[ $(anka run sonoma-job bash -c 'command -v anka') == */usr/local/bin/anka ]]
        anka run sonoma-job bash -c 'echo more > work/out'
        mkdir out && anka cp -a sonoma-job:work/. out
        diff <(echo hello) out/file && diff <(echo more) out/out
        set +e; anka run sonoma-job bash -c 'exit 42'; [[ $? == 42 ]] || exit 8; set -e
        anka delete --yes sonoma-job
    """,
    "buildkite, with a registry that does not": r"""
        anka registry add registry_1 "$URL"
        anka registry add --force registry_2 http://127.0.0.1:1
        [[ ! $(anka registry list) ]]
        default=$(anka registry list-repos -d | grep id | cut -d' ' -f8)
        [[ $default == registry_2 ]]
        for registry in registry_1; do
            [[ $(anka registry -r "$registry" list) ]] && failover="-r $registry" || continue
        done
        anka registry $failover pull sonoma
        set +e; anka registry list; [[ $? == 30 ]]
    """,
    "github action": r"""
        anka cp --help &>/dev/null
        anka registry -r "$URL" pull sonoma -t base
        label=github-actions-org/repo-1
        anka clone sonoma $label
        anka list | grep -q "$label"
        anka start $label
        anka run --wait-network --wait-time --no-volume $label bash -c "mkdir -p project"
        mkdir -p folder && echo content > folder/file
        anka cp -fa folder $label:project
        anka cp -fRH folder/ $label:project/flat
        [[ $(anka run $label cat project/folder/file project/flat/file | sort -u) == content ]]
        mkdir artifacts && anka cp -fa $label:project/folder artifacts
        [[ $(cat artifacts/folder/file) == content ]]
        anka delete --yes $label
    """,
    "getting started": r"""
        anka version | grep -q 'Anka '
        anka registry add here "$URL"
        anka registry list-repos | grep -q here
        anka --debug registry pull sonoma -t base
        [[ $(anka --machine-readable registry describe sonoma | jq -r .status) == OK ]]
        anka -j registry describe sonoma | jq -e '.body.versions[]|select(.tag=="base")' >/dev/null
        id=$(anka --machine-readable list | jq -r '.body[]|select(.name=="sonoma")|.uuid')
        [[ $id == "$(anka show sonoma uuid)" ]]
        (( $(anka -j show sonoma disk | jq .body.data_size) > 0 ))
        [[ $(anka -j create --list | jq -r '.body|sort_by(.version)|last|.version') ]]
        anka clone sonoma new && anka run -N -n new true && anka stop -f new
        anka modify new add port-forwarding --guest-port 22 ssh
        anka registry push new base+ssh -f
        anka registry show new tag | grep -q '[[:space:]]base+ssh[[:space:]]'
        anka delete --yes new
    """,
    "the vendor's own": r"""
        anka registry -r "$URL" pull sonoma
        id=$(anka list | grep "sonoma " | awk -F'|' '{print $3}' | tr -d ' ')
        [[ $id == "$(anka show sonoma uuid)" ]]
        anka --machine-readable license show | grep -q 'status": "valid"'
        vms="$(anka config vm_lib_dir)" images="$(anka config img_lib_dir)"
        files=$(find "$vms/$id" -name '*.yaml' -exec grep -hE '^ +file:.*\.ank' {} + | awk '{print $NF}' | sort -u)
        [[ $files ]]
        for file in $files; do [[ -f $images/$file ]]; done
        new=$(python3 -c 'import uuid; print(uuid.uuid4())')
        mv "$vms/$id" "$vms/$new"
        sed -i.old "s/$id/$new/" "$vms/$new/config.yaml"
        [[ $(anka show sonoma uuid) == "$new" ]]
        anka run "$new" true
    """,
    "drone": r"""
        anka registry -r "$URL" pull sonoma
        anka clone sonoma new
        id=$(anka show new uuid)
        anka --machine-readable start "$id" | jq -e '.status=="OK"' >/dev/null
        until anka show "$id" ip; do sleep 0.1; done
        echo 'echo "ran $1"' > "$PWD/script"
        anka cp "$PWD/script" "$id:$PWD/script"
        [[ $(anka run "$id" bash "$PWD/script" it) == "ran it" ]]
        anka delete --yes "$id"
    """,
    "packer, which passes only ANKA_ and PATH on": r"""
        run() { env -i PATH="$PATH" ANKA_HOME="${ANKA_HOME:-}" anka "$@"; }
        anka registry -r "$URL" pull --tag base sonoma
        id=$(anka --machine-readable show sonoma | jq -r .body.uuid)
        run --machine-readable clone "$id" new | jq -e '.code==0' >/dev/null
        [[ $( { run --machine-readable clone "$id" new || true; } | jq .code) == 18 ]]
        [[ $( { run --machine-readable show none || true; } | jq .code) == 3 ]]
        script=$(mktemp) && echo 'echo "provisioned" > done' > "$script"
        run --machine-readable cp -pRLf "$script" "new:$script.guest"
        [[ $(echo "chmod +x $script.guest; sh $script.guest; cat done" | run run -n new sh -s) == provisioned ]]
        set +e; echo 'exit 3' | run run -n new sh -s; [[ $? == 3 ]] || exit 7; set -e
        run --machine-readable stop new && run --machine-readable registry --remote "$URL" push --tag v1 new
        rm "$script" "$script.guest"
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_the_field(name: str, server: Server, tmp_path: Path) -> None:
    tool("jq")
    work = tmp_path / "work"
    work.mkdir()
    env = plain_env(tmp_path) | {"URL": server.registry_url, "ANKA_DEBUG": "--debug" if "does" in name else ""}
    env |= {"PATH": f"{Path(server.anka).parent}:{env['PATH']}", "ANKA_HOME": str(tmp_path / str(uuid.uuid4()))}
    env |= {"ANKA_STANDIN_GUESTS": "1", "ANKA_REGISTRY": ""}
    script = work / "script.sh"
    script.write_text("set -euo pipefail\n" + SCRIPTS[name])
    done = subprocess.run(
        ["bash", "-x", str(script)], env=env, cwd=work, capture_output=True, text=True, timeout=120, check=False
    )
    assert 0 == done.returncode, done.stdout[-1000:] + done.stderr[-3000:]
