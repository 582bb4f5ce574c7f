//! Who may come in: passwords, tokens and their scopes.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::message::{Answer, Head, parameters};
use super::script::{Auth, Login, Script};
use super::signer::Signer;

/// The tokens given out so far.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Token>>);

#[derive(Debug)]
struct Token {
    /// As asked for: `repository:NAME:pull,push`.
    scopes: Vec<String>,
    uses_left: u32,
}

/// What a request wants to do in a repository; nothing but the base address has no repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) action: &'static str,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(method: &str, name: Option<&'a str>) -> Self {
        let action = if matches!(method, "GET" | "HEAD") { "pull" } else { "push" };
        Self { name, action }
    }
}

impl Tokens {
    /// Tells whether a request may be answered; otherwise how it is refused.
    pub(super) fn check(
        &self,
        auth: &Auth,
        head: &Head,
        wanted: Wanted<'_>,
        realm: &str,
    ) -> Result<(), Answer> {
        match auth {
            Auth::None => Ok(()),
            Auth::Basic(login) if is_login(head, login) => Ok(()),
            Auth::Basic(_) => Err(unauthorized("Basic realm=\"scripted\"".to_owned())),
            Auth::Bearer { .. } => {
                self.use_token(head, wanted).map_err(|error| unauthorized(challenge(realm, wanted, error)))
            }
        }
    }

    /// Tells whether the token of a request, which has been checked and used, is also good for pulling from `name`.
    pub(super) fn may_pull(&self, auth: &Auth, head: &Head, name: &str) -> bool {
        let tokens = self.0.lock().expect("no thread panics with the tokens");
        let token = bearer(head).and_then(|token| tokens.get(token));
        !matches!(auth, Auth::Bearer { .. })
            || token.is_some_and(|token| token.allows(Wanted { name: Some(name), action: "pull" }))
    }

    /// Answers a request for a token, as GET with a query or as POST with a form.
    pub(super) fn give(&self, script: &Script, head: &Head, form: &str) -> Answer {
        let Auth::Bearer { login, uses } = &script.auth else { return Answer::empty(404) };
        let one = |name| parameters(form, name).pop().unwrap_or_default();
        let known = login.as_ref().is_none_or(|login| {
            is_login(head, login)
                || one("refresh_token") == login.password
                || (one("username") == login.user && one("password") == login.password)
        });
        if !known {
            return Answer::error(401, "UNAUTHORIZED", "no such user or password");
        }
        let mut scopes = head.query("scope");
        scopes.extend(parameters(form, "scope"));
        let scopes: Vec<String> =
            scopes.iter().flat_map(|scope| scope.split(' ')).map(str::to_owned).collect();
        let mut tokens = self.0.lock().expect("no thread panics with the tokens");
        let serial = tokens.len();
        let signer = script.signer.as_ref();
        let token = signer.map_or_else(|| format!("token-{serial}"), |signer| signer.token(&scopes, serial));
        let expires_in = signer.map_or(300, Signer::lifetime);
        tokens.insert(token.clone(), Token { scopes, uses_left: uses.unwrap_or(u32::MAX) });
        Answer::json(200, &json!({"token": token, "access_token": token, "expires_in": expires_in}))
    }

    /// Uses the token of a request, or names the `error` of the challenge.
    fn use_token(&self, head: &Head, wanted: Wanted<'_>) -> Result<(), &'static str> {
        let mut tokens = self.0.lock().expect("no thread panics with the tokens");
        let token = bearer(head).ok_or("")?;
        let token = tokens.get_mut(token).filter(|token| token.uses_left > 0).ok_or("invalid_token")?;
        if !token.allows(wanted) {
            return Err("insufficient_scope");
        }
        token.uses_left -= 1;
        Ok(())
    }
}

impl Token {
    fn allows(&self, wanted: Wanted<'_>) -> bool {
        let Some(name) = wanted.name else { return true };
        self.scopes.iter().any(|scope| {
            let mut words = scope.splitn(3, ':');
            words.next() == Some("repository")
                && words.next() == Some(name)
                && words.next().is_some_and(|actions| actions.split(',').any(|a| a == wanted.action))
        })
    }
}

fn bearer(head: &Head) -> Option<&str> {
    head.header("authorization")?.strip_prefix("Bearer ")
}

fn is_login(head: &Head, login: &Login) -> bool {
    let expected = STANDARD.encode(format!("{}:{}", login.user, login.password));
    let given = head.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    given == Some(&expected)
}

fn unauthorized(challenge: String) -> Answer {
    Answer::error(401, "UNAUTHORIZED", "authentication required").with("WWW-Authenticate", challenge)
}

fn challenge(realm: &str, wanted: Wanted<'_>, error: &str) -> String {
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"scripted\"");
    if let Some(name) = wanted.name {
        let actions = if wanted.action == "pull" { "pull" } else { "pull,push" };
        challenge += &format!(",scope=\"repository:{name}:{actions}\"");
    }
    if !error.is_empty() {
        challenge += &format!(",error=\"{error}\"");
    }
    challenge
}
