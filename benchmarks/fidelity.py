"""How faithful the heads are beside how recognisable: one table for a network.

    python benchmarks/fidelity.py DATA [--network FILE --model FILE] [--only a,b] [--work DIR] [--json FILE]

Parts: (a) hand-placed points of ``portraits``; (b) rendered people, a fixed set made once in ``--work`` from the
embedded face model, whatever network is measured.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from likeness.assets import asset
from likeness.evaluate.cache import Cache
from likeness.evaluate.fidelity import PARTS, FidelityData, fidelity_table, measure_fidelity
from likeness.evaluate.predictions import open_predictor
from likeness.face_model import FaceModel


def data_of(folder: Path, work: Path, only: list[str], people: int) -> FidelityData:
    """What a data folder has of the parts that are wanted; people are rendered where they are not there yet."""
    rendered = work / "people"
    if "b" in only:
        from likeness.train.rendered_people import render_people

        render_people(FaceModel.load(asset("face_model.npz")), rendered, people)
    return FidelityData(portraits=folder / "portraits", rendered=rendered)


def main() -> None:
    from rich.console import Console

    from likeness.evaluate.terminal import rich_table

    parser = argparse.ArgumentParser(description="Fidelity beside recognisability.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    parser.add_argument("--people", type=int, default=300, help="rendered people")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "likeness-fidelity")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    predictor = open_predictor(arguments.model, arguments.network, threads=arguments.threads)
    data = data_of(arguments.data, arguments.work, only, arguments.people)
    found = measure_fidelity(data, predictor, only, Cache(arguments.work / "cache"))
    Console(width=140).print(rich_table(fidelity_table({"network": found})))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
