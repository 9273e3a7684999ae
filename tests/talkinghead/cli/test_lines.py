"""Lines that are printed: short, and safe for a terminal."""

from talkinghead.cli.lines import one_line


def test_a_short_line_stays():
    assert one_line("a.png: no such file — Łódź 東京 👩‍👩‍👧") == "a.png: no such file — Łódź 東京 👩‍👩‍👧"


def test_what_moves_the_cursor_or_hides_is_shown():
    assert one_line("a\x1b[2J\x00\u202eb\ud800\x7f") == "a\\x1b[2J\\x00\\u202eb\\ud800\\x7f"
    assert one_line("first\nsecond\r\u2028third") == "first second third"


def test_long_names_keep_their_ends():
    line = one_line(f"/home/{'a' * 500}/film.mp4: no such file; give another")
    assert line.startswith("/home/aaa") and "film.mp4: no such file; give another" in line and len(line) < 200


def test_long_lines_keep_the_file_and_the_advice():
    line = one_line(f"film.mp4: not a video ({'why ' * 200}); give another")
    assert len(line) == 300 and line.startswith("film.mp4: not a video") and line.endswith("); give another")
    assert len(one_line("x " * 1000, 90)) == 90
