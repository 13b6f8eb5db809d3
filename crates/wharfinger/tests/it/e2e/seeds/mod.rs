//! Three pages by people who set up a registry of their own, done again with our program in the
//! place of theirs.

mod catalog_request;
mod docker_auth_page;
mod token_generator;
