"""How a run chooses the size of its team, on a machine of given speeds: no clock is looked at."""
import pytest

from vivace.team import AGAIN, DOUBT, PROBE, SLICE, Team, team_for


def run(team, seconds_of_a_step, whole, slices=1000):
    """(seconds, steps by size, sizes in order) of `whole` steps in slices of at most `slices` steps, as a run makes them."""
    passed, taken, sizes = 0.0, {1: 0, 2: 0}, []
    while whole > 0:
        size, most, steps = team.next(SLICE, True)
        fits = int(most / seconds_of_a_step[size])  # 0 where a step is not over in time
        done = min(slices, whole, fits, steps or whole)
        spent = done * seconds_of_a_step[size] or most
        team.ran(done, spent)
        passed, whole = passed + spent, whole - done
        taken[size] += done
        sizes.append(size)
    return passed, taken, sizes


@pytest.mark.parametrize("seconds, best", [
    ({2: 1e-5, 1: 2e-5}, 2), ({2: 2e-5, 1: 1e-5}, 1), ({2: 1.8e-5, 1: 2e-5}, 2), ({2: 1.9e-5, 1: 2e-5}, 1),
    ({2: 4e-3, 1: 7e-3}, 2), ({2: 9e-3, 1: 7e-3}, 1), ({2: 0.5, 1: 7e-3}, 1)])
def test_the_faster_size_is_kept(seconds, best):
    team = Team(2, False)
    whole = int(1 / seconds[best])
    passed, taken, sizes = run(team, seconds, whole)
    assert sorted(sizes[:4]) == [1, 1, 2, 2] and team.used == best
    even = max(seconds.values()) < 1.1 * min(seconds.values())  # then all threads may run for a while before they are left
    assert (taken[best] > 0.9 * whole or even) and passed < 1.1 * whole * seconds[best] + 2 * seconds[3 - best]


@pytest.mark.parametrize("slices", [1, 3, 1000])
@pytest.mark.parametrize("fast, slow", [(1, 2), (2, 1)])
def test_the_slower_size_is_a_probe_however_short_the_slices_are(slices, fast, slow):
    """An epoch of three steps of 20 us ends a slice long before a probe would."""
    team, each = Team(2, False), {fast: 2e-5, slow: 1e-3}
    passed, taken, _ = run(team, each, 200_000, slices)
    assert 2 * PROBE <= taken[slow] * each[slow] <= 2 * (5 + passed / AGAIN) * (PROBE + each[slow])
    assert passed < 1.1 * 200_000 * each[fast] and team.used == fast


def test_a_core_that_wakes_slowly_is_waited_for():
    """Two threads take 15 us a step for the first 40 ms after one thread ran, and 10 us then; one takes 14."""
    team, idle, taken = Team(2, False), 0.04, {1: 0.0, 2: 0.0}
    while sum(taken.values()) < 3:
        size, most, steps = team.next(SLICE, True)
        each = 1.4e-5 if size == 1 else 1.5e-5 if idle > 0 else 1e-5
        done = max(1, min(int(min(most, 5e-3) / each), steps or 1000))
        team.ran(done, done * each)
        idle = 0.04 if size == 1 and done * each > 10 * PROBE else max(idle - done * each, 0) if size == 2 else idle
        taken[size] += done * each
    assert team.used == 2 and taken[1] < 0.1


def test_where_all_threads_are_far_slower_they_are_not_waited_for():
    team, each = Team(2, False), {1: 1e-5, 2: (DOUBT + 0.1) * 1e-5}
    assert run(team, each, 50_000)[1][2] * each[2] < 6 * PROBE


def test_a_disturbed_measurement_is_soon_made_anew():
    team, each = Team(2, False), {1: 2e-5, 2: 1e-5}
    run(team, {1: 2e-5, 2: 4e-3}, 300)  # while two are measured something else has a core
    assert team.size == 1
    passed, taken, _ = run(team, each, 100_000)
    assert taken[1] * each[1] < 0.3 and team.used == 2
    assert passed < 1.25 * 100_000 * each[2]


def test_a_fit_after_a_while_measures_anew():
    """Threads of other libraries spin for 0.1 s after their last work; a fit of 20 ms every second should not keep one thread for long."""
    plan, each, disturbed = object(), {1: 2e-5, 2: 1e-5}, {1: 2e-5, 2: 2e-2}
    team, used = team_for(plan, None, 2, False), []
    run(team, disturbed, 1000)
    for idle in (0.01, 0.01, 2.0, 0.01):
        assert team_for(plan, team, 2, False, idle) is team
        run(team, each, 1000)
        used.append(team.used)
    assert used == [1, 1, 2, 2]


def test_where_a_step_takes_long_measurements_are_few():
    """Half a second a step of two threads, 7 ms of one: measuring anew every second would lose a fifth of the time."""
    team, each = Team(2, False), {1: 7e-3, 2: 0.5}
    passed, _, sizes = run(team, each, 20_000)
    assert passed < 1.08 * 20_000 * each[1] and sizes.count(2) >= 6


def test_only_whole_steps_are_measured():
    """A slice that begins in the middle of a step ends it, and its time says nothing."""
    team, seconds, sizes = Team(2, False), {2: 4e-3, 1: 7e-3}, []
    for i in range(8):
        size, _, steps = team.next(SLICE, i % 2 == 0)
        team.ran(1, seconds[size] * (1 if i % 2 == 0 else 0.1))
        sizes.append(size)
    assert sizes[::2] == [2, 1, 2, 1] and sizes[1::2] == [2, 1, 2, 2]
    assert team.seconds[1] == pytest.approx(7e-3) and not team.queue


def test_a_size_that_becomes_slow_is_left():
    team = Team(2, False)
    run(team, {1: 2e-3, 2: 1e-3}, 1000)
    assert team.used == 2
    assert run(team, {1: 2e-3, 2: 9e-2}, 1000)[1][2] < 20


def test_one_slow_slice_of_a_short_epoch_is_no_reason_to_measure_anew():
    team, each = Team(2, False), {1: 2e-5, 2: 1e-3}
    run(team, each, 3000, 3)
    size, _, _ = team.next(SLICE, True)
    team.ran(3, 2e-4)  # something else ran for a moment
    assert size == 1 and run(team, each, 300, 3)[1][2] == 0


@pytest.mark.parametrize("team", [Team(2, True), Team(1, False)])
def test_a_size_that_was_asked_for_stays(team):
    first = team.sizes[0]
    assert {team.next(SLICE, True)[0] for _ in range(20) if team.ran(1, 1.0) is None} == {first}


def test_the_next_fit_knows_what_was_measured():
    plan = object()
    first = team_for(plan, None, 2, False)
    run(first, {2: 2e-5, 1: 1e-5}, 6000)
    second = team_for(plan, first, 2, False)
    assert second is first and second.steps == {2: 0, 1: 0} and run(second, {2: 2e-5, 1: 1e-5}, 3000)[2][0] == 1
    assert team_for(object(), first, 2, False) is not first and team_for(plan, first, 3, False) is not first
