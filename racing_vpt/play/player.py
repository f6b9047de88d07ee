"""The loop behind `racing-vpt play` and `drive --render human`: keys in, pictures out. It knows no window."""

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
    """How somebody plays.

    Args:
        by_hand: a person drives first, not the agent.
        hands_over: `m` changes who drives.
        header: show more figures.
        save_mode: ask after each episode whether it is to be kept.
        scale: how many times frames are enlarged; None: to 480 rows at most, or 288 where others stand beside them.
    """

    by_hand: bool = False
    hands_over: bool = True
    header: bool = False
    save_mode: bool = False
    scale: int | None = None


class Player:
    """Somebody drives, and may hand over to somebody else at any time: a `Screen`.

    Args:
        course: where.
        agent: name of the agent, or of the checkpoint whose world model is driven in.
        recordings: folder of the recordings; None: nothing is recorded.
        options: how.
        seeds: of the episodes; one ends after the last of them.
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
        self.episodes = 0  # that are over
        self.kept: list[Path] = []
        self.take: Take | None = None  # what the person records
        self.whole: Take | None = None  # the whole episode, kept if the person says so
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
            lines.append(("m", "you drive, the agent drives"))
        lines.append(("p", "pause") if self.by_hand else ("space, p", "pause"))
        if self.recordings is not None:
            lines.append((", (comma)", "start, stop a recording"))
        if self.options.save_mode:
            lines.append(("y, n", "keep the episode that ended, or not"))
        return lines

    @property
    def script_keys(self) -> tuple[str, ...]:
        """Keys that a script may hold."""
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
        """One frame of the course, unless it waits for a person; ValueError where the controls are refused."""
        for key in keys.pressed:
            self.press(key)
        if not (self.over or self.asks or self.paused):
            self.drive(keys)
        return self.picture()

    def press(self, key: str) -> None:
        """Do what a key is for that does not drive."""
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
        """The agent drives where a person did, and the other way round, if there are both."""
        if self.by_hand and not self.course.has_agent:
            self.notes.say("there is no agent to hand over to")
        elif not self.by_hand and not self.keys:
            self.notes.say(no_keys(self.course.game))
        else:
            self.by_hand = not self.by_hand
            if self.keys:
                self.keys.take_over(self.done)

    def drive(self, keys: Keys) -> None:
        if self.course.done and not self.next_episode():  # only now, so that the end was seen
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
            if self.take is not None:  # a recording holds one episode; the next one goes on in another
                self.stop()
                self.start()

    def next_episode(self) -> bool:
        """Begin it; False where that was the last."""
        seed = next(self.seeds, None)
        if seed is None:
            self.over = True
            return False
        self.seed = seed
        self.begin()
        if self.take is not None:  # it was started before the seed was known
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
        """Keep a recording that runs, and an episode about which nobody answered; not one that did not end."""
        try:
            if self.take is not None:
                self.stop()
        finally:
            if self.whole is not None:
                self.answer(keep=self.asks)
            self.course.close()

    def picture(self) -> Frame:
        """What is seen now, uint8 [H, W, 3], both even."""
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
        """The line below the picture: who drives which seed, how fast, how far."""
        who = "you drive" if self.by_hand else f"{self.agent} drives"
        parts = [f"seed {self.seed}", f"{who}{self.course.where}"]
        if "speed" in record.observation:
            parts.append(f"speed {record.observation['speed']:.0f}")
        if (progress := progress_of(record)) is not None:
            parts.append(f"lap {progress:.0%}")
        return "   ".join(parts)

    def messages(self) -> list[Message]:
        """What goes on besides driving."""
        messages: list[Message] = []
        if self.take is not None:
            messages.append((f"recording: {len(self.take)} frames (comma stops)", WRONG))
        if self.paused:
            messages.append(("pause: space or p goes on", WARNING))
        if self.asks:
            messages.append((f"the episode is over, score {self.course.score:.1f}: keep it?  y / n", RIGHT))
        return messages
