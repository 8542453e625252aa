//! The queue as the storage of apalis programs: what pushes, what runs, what boards show.

mod board;
mod ends;
mod http;
mod pushing;
mod running;
mod site;
