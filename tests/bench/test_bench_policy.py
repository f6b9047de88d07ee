"""The benchmark of a policy's steps. Speed is never asserted."""

from racing_vpt.bench.policy import agent_of, timed


def test_a_step_is_timed_with_the_memory_of_the_steps_before() -> None:
    agent = agent_of("tiny")
    figures = timed(agent, "tiny", steps=5, threads=1)
    assert 0 < figures["least_ms"] <= figures["median_ms"] <= figures["p99_ms"]
    assert figures["share"] > 0
    known = agent.state[1][0][0]  # which keys of the memory are of this episode
    assert known.sum() == 25, "20 steps to warm up and 5 on the clock are remembered"
