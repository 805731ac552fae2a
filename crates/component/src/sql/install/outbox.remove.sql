-- All kept events go with it. What calls wampgres.publish() fails from now on.
DROP FUNCTION IF EXISTS
    wampgres.publish(text, jsonb, jsonb, jsonb),
    wampgres.publish_options(jsonb),
    wampgres.read_outbox(text, integer, bigint),
    wampgres.event_position(bigint),
    wampgres.stay_awake(integer),
    wampgres.outbox_bytes(),
    wampgres.delete_events(bigint, interval, bigint, integer);
DROP TABLE IF EXISTS wampgres.outbox, wampgres.outbox_deleted;
DROP SEQUENCE IF EXISTS wampgres.outbox_awake;
