//! The built program as a process: what it prints, how it ends, what it leaves on disk, what signals do to it.

mod directory;
mod first_admin;
mod program;
mod serve;
mod verbs;
