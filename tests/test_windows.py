from hypothesis import given
from hypothesis import strategies as st

from vs_vrt.windows import overlap, runs


def test_a_window_without_cuts_is_one_run() -> None:
    assert runs([False, False, False]) == [range(0, 4)]


def test_a_window_of_one_frame_is_one_run() -> None:
    assert runs([]) == [range(0, 1)]


def test_a_cut_ends_a_run_after_its_first_frame() -> None:
    assert runs([True, False, False, True]) == [range(0, 1), range(1, 4), range(4, 5)]


@given(st.lists(st.booleans(), max_size=20))
def test_runs_cover_every_frame_once_and_meet_at_the_cuts(cuts: list[bool]) -> None:
    found = runs(cuts)
    assert [n for run in found for n in run] == list(range(len(cuts) + 1))
    assert {run.start for run in found} - {0} == {i + 1 for i, cut in enumerate(cuts) if cut}


bounds = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)


@given(bounds, bounds)
def test_an_overlap_is_what_both_ranges_hold(a: list[int], b: list[int]) -> None:
    assert list(overlap(range(*a), range(*b))) == sorted(set(range(*a)) & set(range(*b)))
