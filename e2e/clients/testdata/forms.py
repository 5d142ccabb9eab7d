"""Reads bodies as a script would: python3 forms.py URL NUMBER. The output is like that of forms.js."""

import json
import sys

import requests

url, number = sys.argv[1], int(sys.argv[2])


def read(url):
    with requests.get(url, stream=True) as response:
        lines = response.iter_lines(decode_unicode=True)
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


print(json.dumps({"client": "requests (Python), by lines", "got": [read(f"{url}/{i}") for i in range(number)]}))
