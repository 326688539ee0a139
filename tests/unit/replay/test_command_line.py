"""The command line: dry by default, never everything at once, nothing private in what it prints."""

from datetime import timedelta

import pytest

from services.domain.tenants import Phonebook
from services.replay import report
from services.replay.__main__ import _age, _asked, _parser, main
from tests.unit.domain.things import PHONE, WA_ID, a_command
from tests.unit.replay.kit import dead_command, found, number

BOOK = Phonebook()


def asked(*arguments):
    return _asked(_parser().parse_args(["deadletters", *arguments, "--by", "ana"]))


@pytest.mark.parametrize("verb", ["redrive", "discard"])
def test_nothing_is_done_unless_asked_for(verb):
    assert not asked(verb, "--reason", "bug").really
    assert asked(verb, "--reason", "bug", "--really").really


@pytest.mark.parametrize("verb", ["redrive", "discard"])
def test_all_dead_letters_at_once_are_refused(verb, capsys):
    with pytest.raises(SystemExit):
        main(["deadletters", verb, "--really"])
    assert "needs an id or a filter" in capsys.readouterr().err


def test_a_registration_is_a_selection_of_its_own():
    assert asked("redrive", "--registered").registered


@pytest.mark.parametrize(
    ("text", "age"), [("30s", timedelta(seconds=30)), ("15m", timedelta(minutes=15)), ("3d", timedelta(days=3))]
)
def test_an_age_is_written_with_its_unit(text, age):
    assert _age(text) == age


@pytest.mark.parametrize("arguments", [["list", "--older-than", "3"], ["redrive", "--rate", "0"], ["show"]])
def test_what_makes_no_sense_is_refused(arguments):
    with pytest.raises(SystemExit):
        _parser().parse_args(["deadletters", *arguments])


def is_private(lines):
    return any(word in line for line in lines for word in (PHONE, WA_ID, a_command().content))


def test_a_list_shows_no_text_and_no_number():
    letters = [dead_command(base=number(1)).letter, found(base=number(2)).letter]
    lines = report.lines(letters, {letters[0].id: "redriven"}, BOOK, 50)
    assert not is_private(lines)
    assert [letters[0].id in lines[0], "redriven" in lines[0], "waiting" in lines[1]] == [True] * 3


def test_what_does_not_fit_is_counted():
    letters = [found(base=number(n)).letter for n in range(3)]
    assert report.lines(letters, {}, BOOK, 1)[1:] == ["… and 2 more", "3 dead letters: normaliser bug 3"]


def test_one_letter_shows_text_and_number_only_when_they_are_asked_for():
    assert not is_private(report.whole(dead_command(), "waiting", BOOK, personal=False))
    assert is_private(report.whole(dead_command(), "waiting", BOOK, personal=True))
