"""Which size a run's team takes, from times that are made up."""
import pytest

from vivace.team import AGAIN, SLICE, Team, team_for


def run(team, seconds, slices, whole=lambda i: True):
    """The sizes of `slices` slices on a machine where a step takes seconds[size]."""
    sizes = []
    for i in range(slices):
        size, most, steps = team.next(SLICE, whole(i))
        done = steps if steps is not None else int(most / seconds[size])
        done = min(done, int(most / seconds[size]))
        team.ran(done, done * seconds[size] if done else most)
        sizes.append(size)
    return sizes


@pytest.mark.parametrize("seconds, best", [({2: 1e-5, 1: 2e-5}, 2), ({2: 2e-5, 1: 1e-5}, 1), ({2: 4e-3, 1: 7e-3}, 2), ({2: 9e-3, 1: 7e-3}, 1),
                                           ({2: 0.5, 1: 7e-3}, 1)])
def test_the_faster_size_is_kept(seconds, best):
    sizes = run(Team(2, False), seconds, AGAIN + 3)
    assert sorted(sizes[:4]) == [1, 1, 2, 2]
    assert set(sizes[4:]) == {best}


def test_both_sizes_are_measured_anew_after_a_while():
    sizes = run(Team(2, False), {2: 1e-5, 1: 2e-5}, AGAIN + 8)
    assert sizes.count(1) == 4


def test_only_whole_steps_are_measured():
    """A slice that begins in the middle of a step ends it, and its time says nothing."""
    team = Team(2, False)
    sizes = run(team, {2: 4e-3, 1: 7e-3}, 8, whole=lambda i: i % 2 == 0)
    assert sizes[::2] == [2, 1, 2, 1] and sizes[1::2] == [2, 1, 2, 2]
    assert team.seconds == {2: pytest.approx(4e-3), 1: pytest.approx(7e-3)}


def test_a_size_that_was_asked_for_is_kept():
    assert set(run(Team(3, True), {3: 1.0, 1: 1e-3}, 10)) == {3}


def test_the_next_fit_knows_what_was_measured():
    plan = object()
    first = team_for(plan, None, 2, False)
    run(first, {2: 2e-5, 1: 1e-5}, 6)
    second = team_for(plan, first, 2, False)
    assert second is first and second.steps == {2: 0, 1: 0} and run(second, {2: 2e-5, 1: 1e-5}, 3) == [1, 1, 1]
    assert team_for(object(), first, 2, False) is not first and team_for(plan, first, 3, False) is not first
