"""The tests in the files, judged by what the data plane would do."""
