# SPDX-License-Identifier: Apache-2.0
"""python -m pto_runtime doctor: on the simulator, and on each stand-in for CANN.

PTO_FAKE_CANN is the build's tests/fake_cann folder; without it the stand-ins are left out.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import pto_runtime

FAKE = os.environ.get("PTO_FAKE_CANN")
PACKAGE_FOLDER = str(pathlib.Path(pto_runtime.__file__).parent.parent)


def doctor(*arguments, **variables):
    """Return the exit status and what was printed."""
    environment = dict(os.environ, PYTHONPATH=PACKAGE_FOLDER, **variables)
    if "ASCEND_HOME_PATH" not in variables:
        environment.pop("ASCEND_HOME_PATH", None)
    done = subprocess.run([sys.executable, "-m", "pto_runtime", "doctor", *arguments],
                          env=environment, capture_output=True, text=True, timeout=120,
                          check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def results(text):
    return {check["check"]: check["result"] for check in json.loads(text)["checks"]}


def test_simulator():
    code, text = doctor()
    assert code == 0
    assert text.count("PASS") == 5 and text.count("SKIP") == 1 and "FAIL" not in text
    assert text.splitlines()[-1] == "all is well"


def test_json():
    code, text = doctor("--json")
    report = json.loads(text)
    assert code == 0 and report["passed"] is True
    assert report["version"] == pto_runtime.__version__
    assert set(report["checks"][0]) == {"check", "result", "seen", "advice"}


def test_no_toolkit(tmp_path):
    code, text = doctor("--json", ASCEND_HOME_PATH=str(tmp_path / "none"))
    seen = results(text)
    assert code == 1
    assert seen["sim: run"] == "PASS"
    assert seen["ascend: toolkit"] == "FAIL" and seen["ascend: open"] == "FAIL"


@pytest.mark.skipif(not FAKE, reason="PTO_FAKE_CANN is not set")
@pytest.mark.parametrize("variant, expected", [
    ("v85", "AICPU by json, AICore by rt"),
    ("v81", "AICPU by rt, AICore by rt"),
    ("acl", "AICPU by json, AICore by acl"),
    ("noaicpu", "AICPU by host, AICore by rt"),
])
def test_stand_in(variant, expected):
    code, text = doctor("--programs", f"{FAKE}/npu", "--device", "3", "--cores", "6",
                        ASCEND_HOME_PATH=f"{FAKE}/ascend/{variant}")
    assert code == 0, text
    assert expected in text and "Ascend910_9391" in text
    assert ("CANN lacks: none" in text) == (variant not in ("v81", "acl"))


@pytest.mark.skipif(not FAKE, reason="PTO_FAKE_CANN is not set")
def test_simulators_programs_are_refused():
    code, text = doctor("--json", ASCEND_HOME_PATH=f"{FAKE}/ascend/v85")
    assert code == 1
    assert results(text)["ascend: open"] == "FAIL"
    assert "aarch64" in text
