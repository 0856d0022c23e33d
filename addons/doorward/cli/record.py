"""Opens the record for commands that list: the index, or one clear sentence where there is none."""

from pathlib import Path

from doorward.errors import Unavailable
from doorward.settings import config_path, index_file, load_settings
from doorward.store.index import Index


def open_index(config: Path | None) -> Index:
    """The index of the deployment; raises Unavailable before the first start."""
    file = index_file(load_settings(config_path(config)).settings)
    if not file.exists():
        raise Unavailable(
            f"there is no record yet in {file.parent}",
            cause="no-record",
            hint="start `doorward serve`; if the segments are there, run `doorward ledger rebuild`",
        )
    return Index(file)
