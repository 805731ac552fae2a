-- What policies and other functions still use is not dropped, and nothing else of the schema then.
DROP FUNCTION IF EXISTS
    wampgres.session(),
    wampgres.authid(),
    wampgres.authrole(),
    wampgres.authmethod(),
    wampgres.authextra(),
    wampgres.realm(),
    wampgres.procedure();
