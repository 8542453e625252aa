//! The model is only worth something if it notices when the queue is wrong: here the scripts are, on purpose, one
//! change at a time, and every time the model has to object within a few seeds.

mod caught;
mod mutation;
mod operations;
mod shared;
