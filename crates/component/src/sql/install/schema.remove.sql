-- What others have made in the schema stays, and then the schema does.
DROP TABLE IF EXISTS wampgres.version;
DROP SCHEMA IF EXISTS wampgres;
