"""A pip that installs a fake optimum, and the optimum that it installs: both real processes."""

import json
from pathlib import Path

PIP = """
import json, os, pathlib, sys, time
shelf = pathlib.Path(__file__).parent
(shelf / "pid").write_text(str(os.getpid()))
plan = json.loads((shelf / "plan.json").read_text())
python, command, *rest = sys.argv[sys.argv.index("--python") + 1:]
with open(shelf / "log", "a") as log:
    log.write(" ".join([command, *rest]) + "\\n")
if command == "install":
    for name in ("torch", "optimum-intel"):
        print("Collecting", name, flush=True)
        time.sleep(plan["seconds"])
    if plan["pip_fails"]:
        print("ERROR: " + plan["pip_fails"])
        print("[notice] A new release of pip is available")
        sys.exit(1)
    environment = pathlib.Path(python).parent.parent
    (packages,) = (environment / "lib").glob("python3.*/site-packages")
    target = packages / "optimum" / "commands"
    target.mkdir(parents=True)
    (target / "optimum_cli.py").write_text((shelf / "optimum.py").read_text())
    (target / "plan.txt").write_text(str(shelf / "plan.json"))
"""

OPTIMUM = """
import json, os, pathlib, sys
plan = json.loads(pathlib.Path(pathlib.Path(__file__).with_name("plan.txt").read_text()).read_text())
assert os.environ["HF_HUB_OFFLINE"] == "1"
print("Loading weights: 100%")
if plan["optimum_fails"]:
    print("Traceback (most recent call last):")
    sys.exit("ValueError: " + plan["optimum_fails"])
out = pathlib.Path(sys.argv[-1])
out.mkdir()
for file in plan["files"]:
    (out / file).write_text(" ".join(sys.argv[1:-1]))
(out / "config.json").write_text(json.dumps({"max_position_embeddings": 64}))
"""

FILES = (
    "openvino_model.xml",
    "openvino_model.bin",
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)


class FakeConverter:
    """What pip and the converter are told to do, and what pip was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "pip.py").write_text(PIP)
        (folder / "optimum.py").write_text(OPTIMUM)
        self.plan()

    def plan(
        self,
        *,
        pip_fails: str = "",
        optimum_fails: str = "",
        files: tuple[str, ...] = FILES,
        seconds: float = 0,
    ) -> None:
        plan = {"pip_fails": pip_fails, "optimum_fails": optimum_fails, "files": files, "seconds": seconds}
        (self.folder / "plan.json").write_text(json.dumps(plan))

    @property
    def asked(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []
