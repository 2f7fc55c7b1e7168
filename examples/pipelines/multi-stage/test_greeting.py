import unittest

from greeting import greet


class Greeting(unittest.TestCase):
    def test_it_names_whom_it_greets(self) -> None:
        self.assertEqual(greet("world"), "Hello, world!")
