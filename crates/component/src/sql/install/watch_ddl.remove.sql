-- Event triggers belong to no schema, and call functions of this one.
DROP EVENT TRIGGER IF EXISTS wampgres_notify_of_ddl;
DROP EVENT TRIGGER IF EXISTS wampgres_notify_of_drop;
DROP FUNCTION IF EXISTS wampgres.notify_of_ddl(), wampgres.notify_of_drop();
