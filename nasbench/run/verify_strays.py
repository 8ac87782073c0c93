"""Files beside a run's units that its manifest does not know."""

from __future__ import annotations

from nasbench.atomic import TEMP_SUFFIX
from nasbench.errors import RunError
from nasbench.run.manifest import Manifest
from nasbench.run.store import RunFolder
from nasbench.run.verify import Check, Failure
from nasbench.run.verify_units import names_of

_SUFFIX = ".parquet"


def check_strays(folder: RunFolder, manifest: Manifest) -> Check:
    """Files in `rows/` that are no unit of the run.

    Units of the same cells over other samples, or of other versions, are what a run leaves that was continued
    with another `--limit`, or after an upgrade: they are counted, if they are what their names say.
    """
    failures, earlier, temporary = [], 0, 0
    for name in sorted(folder.written()):
        key = name.removesuffix(_SUFFIX)
        if key in manifest.keys and name.endswith(_SUFFIX):
            continue
        if name.startswith(".") and name.endswith(TEMP_SUFFIX):
            temporary += 1
        elif not name.endswith(_SUFFIX):
            failures.append(Failure(f"rows/{name}", "is no unit's file"))
        elif (reason := _foreign(folder, manifest, key)) is None:
            earlier += 1
        else:
            failures.append(Failure(f"rows/{name}", reason))
    said = [
        "no file in rows/ but units" if not failures else f"{len(failures):,} files in rows/ are no units"
    ]
    if earlier:
        said.append(f"{earlier:,} units of earlier samples or versions, which no table counts")
    if temporary:
        said.append(f"{temporary:,} half-written, which the next run sweeps away")
    return Check("strays", "; ".join(said), tuple(failures))


def _foreign(folder: RunFolder, manifest: Manifest, key: str) -> str | None:
    """Why a file is no unit that this run may have left; None if it is one."""
    path = folder.rows_path(key)
    try:
        table = folder.read_rows(key)
        found = set(table["cell"].to_pylist())
        cells = [cell for cell in manifest.cells if found == {cell.digest}]
        if cells and key in names_of(table, manifest, cells[0]):
            return None
    except RunError as error:
        return str(error).removeprefix(f"{path}: ")
    except KeyError as error:
        return f"is no unit of nasbench: {error}"
    if not cells:
        return "is a unit of another run, the manifest does not know its cell"
    return "is in no manifest and not named by what it holds; delete it if you have not put it there"
