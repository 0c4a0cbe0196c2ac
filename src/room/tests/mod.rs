//! Rooms as their clients see them. The [`world::World`] lets a room run with clients and a worker in virtual time, each
//! client with a [`picture::Picture`] that it puts together from messages; [`truths`] hold after every step.

mod audio;
mod bandwidth;
mod data;
mod joining;
mod leaving;
mod picture;
mod random;
mod streams;
mod truths;
mod video;
mod world;
