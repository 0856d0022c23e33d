from doorward.core.redaction.automaton import Leaf
from doorward.core.redaction.masks import Replacement
from doorward.core.redaction.tally import MAX_FIELDS, Tally
from doorward.model import Mask

LEAF = Leaf("mail", Replacement.HMAC)


def test_elements_of_an_array_are_one_field() -> None:
    tally = Tally()
    items = tally.member(tally.root, "items")
    for _ in range(3):
        tally.member(tally.element(items), "email").note(LEAF, Replacement.HMAC)
    assert list(tally.masks()) == [Mask("mail", "$['items'][*]['email']", "hmac", 3)]


def test_names_are_written_as_normalised_paths() -> None:
    tally = Tally()
    tally.member(tally.root, "it's \\ \n \x01").note(LEAF, Replacement.HMAC)
    assert next(tally.masks()).path == "$['it\\'s \\\\ \\n \\u0001']"


def test_a_document_cannot_make_paths_without_end() -> None:
    tally = Tally()
    for n in range(MAX_FIELDS * 3):
        tally.member(tally.root, f"{n}" + "x" * 1000).note(LEAF, Replacement.HMAC)
    masks = list(tally.masks())
    assert len(masks) <= MAX_FIELDS + 1
    assert sum(mask.count for mask in masks) == MAX_FIELDS * 3
    assert masks[-1].path == "$[*]"
    assert max(len(mask.path) for mask in masks) < 100
