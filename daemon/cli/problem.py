"""A problem with what the console was asked, in words for the person who asked."""


class Problem(Exception):
    """{words}"""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    def __str__(self) -> str:
        return self.words
