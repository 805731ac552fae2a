-- What is installed now.
DO $install$
BEGIN
    INSERT INTO wampgres.version (version)
    SELECT @version@ WHERE NOT EXISTS (SELECT FROM wampgres.version v WHERE v.version = @version@);
END
$install$;
