"""What runs in a fresh process: `python -m benchmarks.worker module:function JSON_ARGUMENTS ANSWER_FILE`.

Belongs here: calling one function, measuring it, writing the answer. Does not belong here: any benchmark.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.measuring import measure


def main(target: str, arguments: str, answer_file: str) -> None:
    """Call the function, then write its result and cost."""
    module_name, function_name = target.split(":")
    function = getattr(importlib.import_module(module_name), function_name)
    measured = measure(lambda: function(**json.loads(arguments)))
    Path(answer_file).write_text(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main(*sys.argv[1:])
