"""Layouts that data sets come in: which one a folder has, and where its annotations and pictures lie."""
