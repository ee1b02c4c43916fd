"""One product day, start to end: fetch -> forcing -> advance -> publish.

Every step leaves a file that the next one reads, and finds what is already done, so that the same
call after a crash at any point ends with the same archive. Nothing here knows a scheduler.
"""
