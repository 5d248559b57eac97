"""Splits are decided by names and contents, and stay decided."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from charpipe.config.settings.text import SplitConfig
from charpipe.text.splits import assign_splits, cut_points, shuffled, split_by

PATHS = [f"folder/{at}.c" for at in range(2000)]
CONTENTS = [f"{at:064x}" for at in range(2000)]


def test_shares_are_kept_roughly() -> None:
    counts = Counter(assign_splits(PATHS, CONTENTS, SplitConfig(), "linux"))
    assert counts["train"] == pytest.approx(1800, abs=60)
    assert counts["val"] == pytest.approx(100, abs=40)


def test_a_new_document_never_moves_an_old_one() -> None:
    before = assign_splits(PATHS[:1000], CONTENTS[:1000], SplitConfig(), "linux")
    assert assign_splits(PATHS, CONTENTS, SplitConfig(), "linux")[:1000] == before


def test_the_salt_decides() -> None:
    config = SplitConfig()
    assert assign_splits(PATHS, CONTENTS, config, "a") != assign_splits(PATHS, CONTENTS, config, "b")


def test_duplicates_stay_together() -> None:
    contents = [f"{at % 500:064x}" for at in range(2000)]
    splits = assign_splits(PATHS, contents, SplitConfig(), "linux")
    assert all(len({splits[at + step] for step in (0, 500, 1000, 1500)}) == 1 for at in range(500))


def test_what_was_decided_before_stays_even_with_a_new_duplicate() -> None:
    before = dict(zip(PATHS, assign_splits(PATHS, CONTENTS, SplitConfig(), "linux"), strict=True))
    after = assign_splits(["a.c", *PATHS], [CONTENTS[7], *CONTENTS], SplitConfig(), "linux", before)
    assert after[1:] == list(before.values())
    assert after[0] == before[PATHS[7]]


@given(
    st.integers(0, 10**10), st.sampled_from([(0.9, 0.1, 0), (0.8, 0.1, 0.1), (1, 0, 0), (0.9, 0.05, 0.05)])
)
def test_cut_points_lie_in_order_and_empty_shares_are_empty(
    characters: int, shares: tuple[float, float, float]
) -> None:
    config = SplitConfig(train=shares[0], val=shares[1], test=shares[2])
    train, val = cut_points(characters, config)
    assert 0 <= train <= val <= characters
    assert shares[2] or val == characters
    assert shares[1] or train == val


def test_tiny_shakespeare_is_cut_where_others_cut_it() -> None:
    assert cut_points(1_115_394, SplitConfig(train=0.9, val=0.1, test=0)) == (1_003_854, 1_115_394)


def test_empty_shares_get_no_documents() -> None:
    assert set(assign_splits(PATHS, CONTENTS, SplitConfig(train=1, val=0, test=0), "x")) == {"train"}
    assert set(assign_splits(PATHS, CONTENTS, SplitConfig(train=0.9, val=0.1, test=0), "x")) == {
        "train",
        "val",
    }


def test_auto_and_shuffling() -> None:
    assert split_by(SplitConfig(), 99) == "contiguous"
    assert split_by(SplitConfig(), 100) == "documents"
    assert sorted(shuffled(PATHS, 1)) == list(range(2000))
    assert shuffled(PATHS, 1) == shuffled(PATHS, 1) != shuffled(PATHS, 2)


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(ValidationError, match="must sum to 1"):
        SplitConfig(train=0.9, val=0.2)
