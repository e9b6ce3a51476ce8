//! Version requirements: the grammar of the official client (`^ ~ > >= < <= =`, `x`, space or comma, `||`).
