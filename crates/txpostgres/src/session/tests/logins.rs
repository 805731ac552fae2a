//! How sessions begin, on real servers.

use std::sync::Arc;

use pg_cluster::TemporaryCluster;
use sql::{ErrorKind, Password};

use super::client::{Client, USER, login, new_server, query, server, tcp, unix};

fn try_login(
    server: &TemporaryCluster,
    user: &str,
    password: Option<&str>,
) -> Result<Client, sql::Error> {
    let mut login = login(user);
    login.password = password.map(Password::new);
    Client::open(Box::new(tcp(server)), login, 256, Arc::default())
}

#[test]
fn trust_lets_in_by_tcp_and_by_unix_sockets() {
    let mut by_tcp =
        Client::open(Box::new(tcp(server())), login(USER), 256, Arc::default()).unwrap();
    let mut by_unix =
        Client::open(Box::new(unix(server())), login(USER), 256, Arc::default()).unwrap();
    for client in [&mut by_tcp, &mut by_unix] {
        assert_eq!(client.value::<String>("SELECT current_user::text"), USER);
        let name = client.value::<String>("SELECT current_setting('application_name')");
        assert_eq!(name, "session tests");
        let pid: i32 = client.value("SELECT pg_backend_pid()");
        assert_eq!(client.session.cancel_key().unwrap().process_id, pid);
        assert_eq!(client.session.parameter("client_encoding"), Some("UTF8"));
    }
}

#[test]
fn each_kind_of_password_is_given_and_a_wrong_one_is_refused() {
    let server = new_server(
        "local all all trust\n\
         host all clear 127.0.0.1/32 password\n\
         host all hashed 127.0.0.1/32 md5\n\
         host all scram 127.0.0.1/32 scram-sha-256\n\
         host all nobody 127.0.0.1/32 reject\n",
    );
    server.start().unwrap();
    let mut admin = Client::open(Box::new(unix(&server)), login(USER), 0, Arc::default()).unwrap();
    admin.all(&[
        "CREATE ROLE clear LOGIN PASSWORD 'geheim é'",
        "CREATE ROLE scram LOGIN PASSWORD 'geheim é'",
        "CREATE ROLE nobody LOGIN",
        "SET password_encryption = md5",
        "CREATE ROLE hashed LOGIN PASSWORD 'geheim é'",
    ]);
    for user in ["clear", "hashed", "scram"] {
        let mut client = try_login(&server, user, Some("geheim é")).unwrap();
        assert_eq!(client.value::<String>("SELECT current_user::text"), user);
        let error = try_login(&server, user, Some("geheim")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.sqlstate(), Some("28P01"), "{error}");
        let error = try_login(&server, user, None).err().unwrap();
        assert!(error.to_string().contains("password missing"), "{error}");
    }
    let error = try_login(&server, "nobody", None).err().unwrap();
    assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    assert!(admin.job(query("SELECT 1")).is_ok());
}

#[test]
fn what_cannot_be_said_is_refused_before_anything_is_sent() {
    let mut login = login(USER);
    login.options = Some("-c a\0".to_owned());
    let error = Client::open(Box::new(unix(server())), login, 256, Arc::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
}
