"""-o FILE: what it held is safe until there is something to put in its place."""
from harness import urlsum


def test_failure_keeps_the_old_file(tmp_path):
    old = tmp_path / "SHA512SUMS"
    old.write_text("precious\n")
    urlsum("get", "-o", old, "--connect-wait", "0.2", "http://127.0.0.1:1/",
           broker="tcp://127.0.0.1:1", codes=(3,))
    assert old.read_text() == "precious\n"


def test_results_do_not_replace_the_list(tmp_path):
    urls = tmp_path / "urls"
    urls.write_text("http://127.0.0.1:1/\n")
    run = urlsum("get", "-i", urls, "-o", urls, codes=(2,))
    assert "the list itself" in run.errors[0]
    assert urls.read_text() == "http://127.0.0.1:1/\n"


def test_no_results_empty_the_file(tmp_path):
    old = tmp_path / "SHA512SUMS"
    old.write_text("of yesterday\n")
    empty = tmp_path / "empty"
    empty.write_text("# nothing today\n")
    urlsum("get", "-i", empty, "-o", old)
    assert old.read_text() == ""
