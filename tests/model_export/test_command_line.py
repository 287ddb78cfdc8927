"""What the command line says when something is missing or wrong."""

import subprocess
import sys


def run_in_another_process(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)


def test_without_the_extra_it_says_what_to_install() -> None:
    """As in the environment of `make serve`: None in `sys.modules` is a module that cannot be found."""
    done = run_in_another_process(
        "import sys; sys.modules['tqdm'] = None; from model_export.__main__ import main; main()"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: tqdm is not installed: pip install '.[cpu,train]'\n"
