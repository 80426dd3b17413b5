"""The command line: results in order, failures beside them, exit codes, and one line for whatever is called wrongly."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._core.options import Options
from allcores._doors.command_line.main import main
from allcores._doors.command_line.options import OPTIONS

SERIAL = ("--on", "serial")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Be in a folder of one's own; what commands add to the path of modules goes again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def results(text: str) -> list[Any]:
    return [line["result"] for line in lines(text)]


# ---------------------------------------------------------------------------------------------------------- the items


def test_files_and_patterns_are_items(capsys, tmp_path):
    for name in ("b.txt", "a.txt", "c.csv"):
        (tmp_path / name).write_text(name)
    assert main(["map", "os.path:getsize", "c.csv", "*.txt"]) == 0
    assert lines(capsys.readouterr().out) == [
        {"index": index, "item": name, "result": 5} for index, name in enumerate(["c.csv", "a.txt", "b.txt"])
    ]


def test_words_are_items_and_options_may_stand_anywhere(capsys):
    assert main(["map", "--items", "words", "builtins:len", "a", "--workers", "1", "bb", "ccc"]) == 0
    assert results(capsys.readouterr().out) == [1, 2, 3]


def test_lines_are_items(capsys, tmp_path):
    (tmp_path / "one").write_text("a\n\nbb")
    (tmp_path / "two").write_text(" c\n")
    assert main(["map", "builtins:len", "one", "two", "--items", "lines", *SERIAL]) == 0
    assert results(capsys.readouterr().out) == [1, 0, 2, 2]


def test_json_values_are_items(capsys, tmp_path):
    (tmp_path / "values").write_text("[1, 2]\n\n[3]\n")
    assert main(["map", "builtins:sum", "values", "--items", "jsonl", *SERIAL]) == 0
    assert lines(capsys.readouterr().out)[0] == {"index": 0, "item": [1, 2], "result": 3}


def test_rows_of_csv_are_items_and_results(capsys, tmp_path):
    (tmp_path / "rows.csv").write_text('name,"size, in cm"\nä,1\n"two\nlines",2\n', encoding="utf-8")
    (tmp_path / "of_rows.py").write_text("def f(row): return {'name': row['name'] * 2, 'more': [1, None], 'x': 0.5}")
    assert main(["map", "of_rows:f", "rows.csv", "--items", "csv", "--out", "o.csv", *SERIAL]) == 0
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["index", "name", "size, in cm", "result.name", "more", "x"]
    assert rows == [
        ["0", "ä", "1", "ää", "[1, null]", "0.5"],
        ["1", "two\nlines", "2", "two\nlinestwo\nlines", "[1, null]", "0.5"],
    ]


def test_what_is_no_dict_has_a_column(tmp_path):
    assert main(["map", "builtins:len", "a", "b,b", "--items", "words", "--out", "o.csv", *SERIAL]) == 0
    assert (tmp_path / "o.csv").read_text() == 'index,item,result\n0,a,1\n1,"b,b",3\n'


def test_a_row_with_other_columns_is_a_failure(capsys, tmp_path):
    (tmp_path / "of_keys.py").write_text("def f(word): return {word: 1}")
    assert main(["map", "of_keys:f", "a", "b", "a", "--items", "words", "--out", "o.csv", *SERIAL]) == 1
    assert "item 1 ('b'): its result cannot be written: its columns are index, item, b, and" in capsys.readouterr().err
    assert (tmp_path / "o.csv").read_text() == "index,item,a\n0,a,1\n2,a,1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1\n", "line 2 of rows has other columns"), ('a\n"1"2\n', "line 2 of rows is no CSV: ")],
)
def test_rows_that_make_no_sense_are_named(capsys, tmp_path, text, message):
    (tmp_path / "rows").write_text(text)
    assert main(["map", "builtins:len", "rows", "--items", "csv", *SERIAL]) == 2
    assert message in capsys.readouterr().err


def test_a_failure_that_a_function_returns_is_a_result(capsys, tmp_path):
    (tmp_path / "of_failures.py").write_text(
        "import allcores\ndef f(word): return allcores.map(int, [word], errors='collect', on='serial')[0]"
    )
    assert main(["map", "of_failures:f", "x", "--items", "words", *SERIAL]) == 1
    told = capsys.readouterr().err
    assert "item 0 ('x'): its result cannot be written: there is no JSON for the type Failure" in told


def test_standard_input_is_read_if_nothing_is_named():
    command = [sys.executable, "-m", "allcores", "map", "builtins:len", "--items", "lines"]
    done = subprocess.run(command, input="a\nbb\n", capture_output=True, text=True, timeout=40, check=True)
    assert results(done.stdout) == [1, 2]
    assert done.stderr == ""


def test_a_function_is_found_in_the_folder(capsys, tmp_path):
    (tmp_path / "of_this_test.py").write_text("class Twice:\n    @staticmethod\n    def of(x): return x + x\n")
    assert main(["map", "of_this_test:Twice.of", "a", "--items", "words"]) == 0
    assert results(capsys.readouterr().out) == ["aa"]


# -------------------------------------------------------------------------------------------------------- the results


def test_failures_are_told_beside_the_results(capsys):
    assert main(["map", "builtins:int", "1", "x", "3", "--items", "words"]) == 1
    told = capsys.readouterr()
    assert results(told.out) == [1, 3]
    assert [line["index"] for line in lines(told.out)] == [0, 2]
    failure, summary = told.err.splitlines()
    assert failure == "item 1 ('x'): ValueError: invalid literal for int() with base 10: 'x'"
    assert summary == "2 of 3 finished, 1 failed"


def test_the_first_failure_may_be_the_end(capsys, tmp_path):
    words = ["1", "x", "3"]
    assert main(["map", "builtins:int", *words, "--items", "words", "--errors", "raise", "--out", "o", *SERIAL]) == 1
    assert capsys.readouterr().err.startswith("item 1 ('x'): ValueError: ")
    assert not (tmp_path / "o").exists()
    assert results((tmp_path / "o.part").read_text()) == [1]


def test_a_result_without_json_is_a_failure(capsys):
    assert main(["map", "fractions:Fraction", "1/2", "--items", "words", *SERIAL]) == 1
    assert (
        "item 0 ('1/2'): its result cannot be written: there is no JSON for the type Fraction"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("function", "word", "result"),
    [("pathlib:PurePath", "a/b", "a/b"), ("numpy:array", "3", "3"), ("builtins:set", "ba", ["a", "b"])],
)
def test_what_json_does_not_know_and_has_something_for_is_written(capsys, function, word, result):
    assert main(["map", function, word, "--items", "words", *SERIAL]) == 0
    assert results(capsys.readouterr().out) == [result]


def test_any_text_can_be_written(capsys, tmp_path):
    words = ["größe", os.fsdecode(b"\xff")]
    assert main(["map", "builtins:str", *words, "--items", "words", "--out", "o", *SERIAL]) == 0
    assert results((tmp_path / "o").read_text(encoding="utf-8")) == words


@pytest.mark.parametrize("error", ["BrokenPipeError", "SystemExit", "StopIteration"])
def test_whatever_an_item_raises_is_its_failure(capsys, tmp_path, error):
    (tmp_path / f"raises_{error}.py").write_text(f"def fn(x): raise {error}(0)\n")
    words = ["map", f"raises_{error}:fn", "a", "--items", "words"]
    for how in ("collect", "raise"):
        assert main([*words, "--errors", how, *SERIAL]) == 1
        assert capsys.readouterr().err.startswith(f"item 0 ('a'): {error}")


def test_an_initializer_that_fails_is_told(capsys, tmp_path):
    (tmp_path / "without_model.py").write_text("def load(): raise LookupError('no model')\n")
    assert main(["map", "builtins:len", "a", "--items", "words", "--initializer", "without_model:load"]) == 1
    assert capsys.readouterr().err == "LookupError: no model\n"


def test_a_file_is_there_when_it_is_whole(tmp_path, capsys):
    assert main(["map", "builtins:len", "a", "bb", "--items", "words", "--out", "o.jsonl", *SERIAL]) == 0
    assert results((tmp_path / "o.jsonl").read_text()) == [1, 2]
    assert not (tmp_path / "o.jsonl.part").exists()
    assert capsys.readouterr().out == ""


def test_a_run_is_resumed(capsys):
    def run(*words: str) -> int:
        return main(["map", "builtins:int", *words, "--items", "words", "--resume", "j", "--report", *SERIAL])

    assert (run("1", "x"), run("1", "2")) == (1, 0)
    told = capsys.readouterr()
    assert results(told.out) == [1, 1, 2]
    assert "2, 1 from the journal" in told.err


def test_a_report_is_told_if_it_is_asked_for(capsys):
    assert main(["map", "builtins:len", "a", "--items", "words", "--report", *SERIAL]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("verdict")


@pytest.mark.parametrize("name", ["run.html", "run.json"])
def test_a_report_is_saved_and_printed_again(name, tmp_path, capsys):
    file = str(tmp_path / name)
    assert main(["map", "builtins:len", "ab", "--items", "words", "--report", "--save-report", file, *SERIAL]) == 0
    told = capsys.readouterr().err
    assert main(["report", file]) == 0
    assert capsys.readouterr().out == told
    assert (tmp_path / name).read_text()[0] == {"run.html": "<", "run.json": "{"}[name]


def test_a_file_that_is_no_report_is_refused_in_one_line(tmp_path, capsys):
    for text in ("", "{}", "[1]", "<html>", '<script type="application/json" id="report">'):
        (tmp_path / "file").write_text(text)
        assert main(["report", str(tmp_path / "file")]) == 2
        assert capsys.readouterr().err.endswith("is no report that allcores has saved\n")
    assert main(["report", str(tmp_path / "missing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_report_that_cannot_be_saved_costs_no_results(tmp_path, capsys):
    words = ["map", "builtins:len", "ab", "--items", "words", "--save-report", str(tmp_path / "a" / "b.html"), *SERIAL]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert '"result": 2' in out
    assert err.startswith("the report cannot be written: ")


INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from allcores._doors.command_line.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_leaves_what_was_finished():
    command = [sys.executable, "-c", INTERRUPTIBLE, "map", "time:sleep", "--items", "jsonl", "--batch", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"0\n60\n")
        process.stdin.close()
        assert results(process.stdout.readline().decode()) == [None]
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 130
        assert process.stderr.read() == b"interrupted; with --resume, it could go on\n"


@pytest.mark.parametrize("words", [("map", "builtins:len", "a", "--items", "words", *SERIAL), ("plan",), ("doctor",)])
def test_a_reader_who_leaves_ends_the_command(words):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "allcores", *words]
    with os.fdopen(writer, "wb") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, timeout=40, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


# ------------------------------------------------------------------------------------------------------ other commands


def test_a_plan_is_told(capsys):
    assert main(["plan", "--workers", "3", "--retries", "2"]) == 0
    assert capsys.readouterr().out.startswith("3 on processes: workers=3 was asked for")


def test_doctor_tells_what_there_is(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.startswith("allcores")


def test_a_journal_is_looked_into(capsys, monkeypatch):
    allcores.map(int, ["1", "x"], errors="collect", resume="j", on="serial")
    assert main(["journal", "j"]) == 1
    assert "1 finished, 1 failed, of int" in capsys.readouterr().out
    main(["journal", "j", "--failures"])
    assert capsys.readouterr().out.startswith("<Failure of item 1 ('x'): ValueError: ")
    main(["journal", "j", "--results"])
    assert lines(capsys.readouterr().out) == [{"index": 0, "result": 1}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("continue\n"))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["journal", "j", "--replay", "1"])


# ------------------------------------------------------------------------------------------------------ wrong commands


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "allcores: the following arguments are required: COMMAND"),
        ("bogus", "allcores: argument COMMAND: invalid choice: 'bogus'"),
        ("map", "allcores map: the following arguments are required"),
        ("map builtins:len", "allcores map: there is no input"),
        ("map builtins:len -", "allcores map: - stands for standard input, which is no path"),
        ("map builtins:len nothing", "allcores map: there is no file nothing"),
        ("map builtins:len nothing*", "allcores map: nothing matches nothing*"),
        ("map len a --items words", "allcores map: 'len' names no function; write package.module:function"),
        ("map some/file.py:fn a --items words", "write the module's name, as in some.file:fn"),
        ("map no_such_module:fn a --items words", "no_such_module cannot be imported: ModuleNotFoundError"),
        ("map math:nothing a --items words", "there is no nothing in math"),
        ("map math:pi a --items words", "math:pi is no function, but a float"),
        ("map builtins:len a --items words --bogus", "unrecognized arguments: --bogus"),
        ("map builtins:len a --items words --workers 0", "allcores map: workers=0 makes no sense"),
        ("map builtins:len a --items words --batch x", "argument --batch: invalid int value: 'x'"),
        ("map builtins:len a --items words --errors ignore", "errors='ignore' is unknown"),
        ("map builtins:len a --items words --retry-on Bogus", "there is no Bogus in builtins"),
        ("map builtins:len a --items words --retry-on int", "int is no type of exception"),
        ("map builtins:len a --items words --initargs {", "--initargs { is no JSON"),
        ("map builtins:len a --items words --out no/such/folder/o", "no/such/folder/o cannot be written"),
        ("map builtins:len a --items words --resume damaged", "is no journal"),
        ("map builtins:len damaged --items jsonl --on serial", "line 1 of damaged is no JSON"),
        ("plan --on thread", "allcores plan: on='thread' is unknown"),
        ("journal nothing", "allcores journal: "),
        ("journal damaged", "is no journal"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(words, told, capsys):
    Path("damaged").write_text("no journal")
    assert main(words.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert told in line


def test_every_option_of_map_is_one_of_the_command(capsys):
    given = {name.replace("-", "_") for name in OPTIONS} | {"progress"}
    assert given == set(Options._fields)
    with pytest.raises(SystemExit, match="0"):
        main(["map", "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{name}" in shown for name in OPTIONS)


def test_options_arrive(capsys, tmp_path):
    (tmp_path / "with_state.py").write_text("def make(): return 40\ndef add(state, x): return state + len(x)\n")
    words = ["map", "with_state:add", "ab", "--items", "words", "--state", "with_state:make", "--threads", "none"]
    assert main([*words, "--retry-on", "OSError", "--retry-on", "allcores:WorkerDied", "--retries", "1"]) == 0
    assert results(capsys.readouterr().out) == [42]
