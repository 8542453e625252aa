mod answers;
mod fallback;
mod names;
mod openai;
mod rules;
