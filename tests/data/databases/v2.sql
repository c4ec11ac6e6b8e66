PRAGMA application_id = 1835233400;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE firewall_rules (
            id INTEGER PRIMARY KEY,
            type TEXT NOT NULL CHECK(type IN ('ip','cidr','country')),
            value TEXT NOT NULL,
            UNIQUE (type, value)
        );
INSERT INTO "firewall_rules" VALUES(1,'ip','2001:db8::7');
INSERT INTO "firewall_rules" VALUES(2,'ip','192.0.2.66');
INSERT INTO "firewall_rules" VALUES(4,'cidr','10.0.0.0/8');
INSERT INTO "firewall_rules" VALUES(5,'country','SE');
CREATE TABLE listeners (id INTEGER PRIMARY KEY, addr TEXT NOT NULL UNIQUE, proxy_protocol INTEGER NOT NULL DEFAULT 0);
INSERT INTO "listeners" VALUES(3,'127.44.2.1:17443',0);
INSERT INTO "listeners" VALUES(8,'127.44.2.3:17443',1);
CREATE TABLE routes (
            id INTEGER PRIMARY KEY,
            listener_id INTEGER NOT NULL REFERENCES listeners(id) ON DELETE CASCADE,
            hostname TEXT NOT NULL,
            backend TEXT NOT NULL, mode TEXT NOT NULL DEFAULT 'l4' CHECK(mode IN ('l4','l7')), tls_cert TEXT NOT NULL DEFAULT '', tls_key TEXT NOT NULL DEFAULT '', backend_tls INTEGER NOT NULL DEFAULT 0, send_proxy_protocol INTEGER NOT NULL DEFAULT 0,
            UNIQUE (listener_id, hostname)
        );
INSERT INTO "routes" VALUES(3,3,'declared.example.com','127.0.0.1:8','l4','','',0,0);
INSERT INTO "routes" VALUES(5,3,'added.example.com','[2001:db8::1]:443','l7','FOLDER/web.crt','FOLDER/web.key',1,1);
INSERT INTO "routes" VALUES(6,3,'xn--bcher-kva.example','unix:/run/a "b" \c#''d'' é.sock','l4','','',0,0);
INSERT INTO "routes" VALUES(7,8,'*','app.internal:8080','l4','','',0,0);
INSERT INTO "routes" VALUES(9,3,'web.example.com','127.0.0.1:8','l7','FOLDER/web.crt','FOLDER/web.key',1,1);
INSERT INTO "routes" VALUES(12,8,'*.example.com','unix:/run/app.sock','l7','FOLDER/gone.crt','FOLDER/gone.key',0,0);
COMMIT;
