"""The loop of `racing-vpt play` and `drive --render human`: keys in, pictures out, independent of any window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from racing_vpt.agents.key_controls import key_controls, no_keys
from racing_vpt.play.course import Course, recorded
from racing_vpt.play.film import BESIDE_ROWS
from racing_vpt.play.notes import Message, Notes
from racing_vpt.play.panel import Panel, captioned, enlarged, figures_of, progress_of, with_bar, with_panel
from racing_vpt.play.take import Take
from racing_vpt.types import Controls, Frame, FrameRecord
from racing_vpt.window.text import PRESSED, RIGHT, TEXT, WARNING, WRONG
from racing_vpt.window.window import CLOSING, HelpLine, Keys


@dataclass(frozen=True)
class PlayerOptions:
    """Options of `Player`.

    Args:
        by_hand: a person drives at first, not the agent.
        hands_over: `m` switches between person and agent.
        header: show more figures.
        save_mode: ask after each episode whether to keep it.
        scale: integer factor by which frames are enlarged; None: to 480 rows at most, 288 with pictures beside them.
    """

    by_hand: bool = False
    hands_over: bool = True
    header: bool = False
    save_mode: bool = False
    scale: int | None = None


class Player:
    """A `Screen` in which a person or an agent drives, and either can take over at any time.

    Args:
        course: environment or world model.
        agent: name of the agent, or of the world model's checkpoint.
        recordings: folder for recordings; None: no recording.
        options: options.
        seeds: seeds of the episodes; the session ends after the last.
    """

    def __init__(
        self,
        course: Course,
        agent: str,
        recordings: Path | None = None,
        options: PlayerOptions | None = None,
        seeds: Iterator[int] | None = None,
    ) -> None:
        self.course, self.agent, self.recordings = course, agent, recordings
        self.options = options or PlayerOptions()
        self.seeds = seeds if seeds is not None else count()
        self.by_hand = self.options.by_hand
        self.over = self.asks = self.paused = False
        self.episodes = 0  # finished
        self.kept: list[Path] = []
        self.take: Take | None = None  # recording started by the person
        self.whole: Take | None = None  # recording of the whole episode, kept on request
        self.keys = key_controls(course.game, course.controls, course.stride)
        self.notes = Notes(course.frames_per_second)
        if self.by_hand and not self.keys:
            raise ValueError(no_keys(course.game))
        self.seed = next(self.seeds)
        self.begin()

    @property
    def frames_per_second(self) -> float:
        return self.course.frames_per_second

    @property
    def help(self) -> list[HelpLine]:
        lines: list[HelpLine] = []
        if self.keys and (self.by_hand or self.options.hands_over):
            lines += self.keys.help
        if self.options.hands_over and self.course.has_agent:
            lines.append(("m", "take the wheel, or hand it back"))
        lines.append(("p", "pause" if self.by_hand else "pause; so does space while the agent drives"))
        if self.recordings is not None:
            lines.append((", (comma)", "start, stop a recording"))
        if self.options.save_mode:
            lines.append(("y, n", "keep the episode that ended, or not"))
        return lines

    @property
    def script_keys(self) -> tuple[str, ...]:
        """Keys that a key script may hold."""
        return (*(self.keys.names if self.keys else ()), "space")

    def begin(self) -> None:
        self.course.begin(self.seed)
        self.done: Controls = dict.fromkeys(self.course.controls, 0.0)
        if self.keys:
            self.keys.take_over({})
        self.whole = self.record() if self.options.save_mode else None

    def record(self) -> Take:
        assert self.recordings is not None, "this player has no folder for recordings"
        course = self.course
        meta = {**course.meta, "seed": self.seed}
        return Take(self.recordings, course.kind, course.frames_per_second, meta, self.agent)

    def step(self, keys: Keys) -> Frame:
        """Drive one step, unless paused or waiting for an answer; ValueError if the controls are refused."""
        for key in keys.pressed:
            self.press(key)
        if not (self.over or self.asks or self.paused):
            self.drive(keys)
        return self.picture()

    def press(self, key: str) -> None:
        """Handle a key that does not drive."""
        if key in CLOSING:
            self.over = True
        elif self.asks and key in ("y", "n"):
            self.answer(keep=key == "y")
        elif key == "p" or (key == "space" and (self.paused or not self.by_hand)):
            self.paused = not self.paused
        elif key == "," and self.recordings is not None:
            self.start() if self.take is None else self.stop()
        elif key == "m" and self.options.hands_over:
            self.hand_over()

    def hand_over(self) -> None:
        """Switch between person and agent, if there is an agent."""
        if self.by_hand and not self.course.has_agent:
            self.notes.say("there is no agent to hand over to")
        elif not self.by_hand and not self.keys:
            self.notes.say(no_keys(self.course.game))
        else:
            self.by_hand = not self.by_hand
            if self.keys:
                self.keys.take_over(self.done)

    def drive(self, keys: Keys) -> None:
        if self.course.done and not self.next_episode():  # here, so that the last frame was shown
            return
        course = self.course
        said = course.suggest()
        chosen = self.keys.controls(keys.held) if self.by_hand and self.keys else said
        assert chosen is not None, "nobody drives"
        controls = {name: float(chosen.get(name, 0.0)) for name in course.controls}
        seen, observation, first = course.frame, course.observation, course.age == 0
        reward = course.step(controls)
        for take in (self.take, self.whole):
            if take is not None:
                take.add(seen, recorded(controls, course.game), reward, first, self.by_hand, observation)
        self.done = controls
        if course.done:
            self.episodes += 1
            self.asks = self.whole is not None
            if self.take is not None:  # one recording per episode; the next episode gets its own
                self.stop()
                self.start()

    def next_episode(self) -> bool:
        """Begin the next episode; False if there are no more seeds."""
        seed = next(self.seeds, None)
        if seed is None:
            self.over = True
            return False
        self.seed = seed
        self.begin()
        if self.take is not None:  # the recording was started before the seed was known
            self.take.writer.meta["seed"] = seed
        return True

    def start(self) -> None:
        self.take = self.record()

    def stop(self) -> None:
        take, self.take = self.take, None
        self.keep(take)

    def answer(self, keep: bool) -> None:
        whole, self.whole, self.asks = self.whole, None, False
        if keep:
            self.keep(whole)
        elif whole is not None:
            whole.abort()
            self.notes.say("not kept")

    def keep(self, take: Take | None) -> None:
        lap_finished = self.course.done and self.course.lap_finished
        if take is not None and (path := take.close(lap_finished)) is not None:
            self.kept.append(path)
            self.notes.say(f"kept {path.name}")

    def close(self) -> None:
        """Keep the current recording, and a finished episode that was not answered for; drop an unfinished one."""
        try:
            if self.take is not None:
                self.stop()
        finally:
            if self.whole is not None:
                self.answer(keep=self.asks)
            self.course.close()

    def picture(self) -> Frame:
        """The current picture, uint8 [H, W, 3], both even."""
        course, options = self.course, self.options
        rate = course.frames_per_second
        record = FrameRecord(course.age, course.age / rate, self.done, observation=course.observation)
        figures = figures_of(record, course.score)
        if options.header:
            figures += [("episode", f"{self.episodes + (not course.done)}"), ("step", f"{course.age}")]
            figures.append(("rate", f"{rate:.3g} steps/s"))
            if course.stride > 1:
                figures.append(("a step is", f"{course.stride} frames"))
        panel = Panel(course.title, figures, progress_of(record), self.done)
        more = course.beside()
        if more:
            shown = [("original", course.frame), *more]
            columns = [captioned(enlarged(one, options.scale, BESIDE_ROWS), name) for name, one in shown]
        else:
            view = None if options.scale else course.view()
            columns = [enlarged(course.frame, options.scale) if view is None else enlarged(view)]
        picture = with_panel(columns, panel)
        self.notes.draw(picture, columns[0].shape[1], self.messages())
        return with_bar(picture, self.status(record), "h: keys", PRESSED if self.by_hand else TEXT)

    def status(self, record: FrameRecord) -> str:
        """Status line: driver, seed, speed, progress of the lap."""
        who = "you drive" if self.by_hand else f"{self.agent} drives"
        parts = [f"seed {self.seed}", f"{who}{self.course.where}"]
        if "speed" in record.observation:
            parts.append(f"speed {record.observation['speed']:.0f}")
        if (progress := progress_of(record)) is not None:
            parts.append(f"lap {progress:.0%}")
        return "   ".join(parts)

    def messages(self) -> list[Message]:
        """Messages about recording, pause and questions."""
        messages: list[Message] = []
        if self.take is not None:
            messages.append((f"recording: {len(self.take)} frames (comma stops)", WRONG))
        if self.paused:
            messages.append(("pause: space or p continues", WARNING))
        if self.asks:
            messages.append((f"the episode is over, score {self.course.score:.1f}: keep it?  y / n", RIGHT))
        return messages
