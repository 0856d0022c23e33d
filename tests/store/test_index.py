from pathlib import Path

from doorward.store.index import Index
from doorward.store.projection import Projection
from doorward.store.rows import entry_from_row
from tests.parts.entries import intent_fields, rows


def make(path: Path, request: str) -> None:
    row, _ = rows(1, "request.intent", intent_fields(request))
    projection = Projection.open(path)
    projection.project([entry_from_row(row)])
    projection.close()


def test_a_replaced_file_is_opened_again(tmp_path: Path) -> None:
    make(tmp_path / "index.db", "old")
    index = Index(tmp_path / "index.db")
    assert index.flow("old") is not None
    make(tmp_path / "new.db", "new")
    (tmp_path / "new.db").replace(tmp_path / "index.db")
    assert index.flow("old") is None
    assert index.flow("new") is not None
    index.close()
    index.close()
    assert index.flow("new") is not None  # opens by itself
    index.close()
