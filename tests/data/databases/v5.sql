PRAGMA application_id = 1835233400;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE edits (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL CHECK(kind IN ('setting','rule','listener','route','policy')),
            base TEXT,
            tombstone INTEGER NOT NULL DEFAULT 0,
            parent TEXT,
            orphaned INTEGER NOT NULL DEFAULT 0,
            author TEXT NOT NULL DEFAULT '',
            reason TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL,
            expires REAL,
            request_id TEXT NOT NULL DEFAULT ''
        );
INSERT INTO "edits" VALUES(1,'listener','8cc70e10bf365575302e18bc8874cb130e6f8bc805798909f9151cc086d8a684',0,NULL,0,'ann','too many
at once "''\ é ☃ 😀',1700000000.5,NULL,'');
INSERT INTO "edits" VALUES(2,'listener','51d90eb6046bc1662e78d0fa22175378bf81b580bfdbe8542f6c92b54f461964',1,NULL,0,'bob','moved',1700000001.5,NULL,'q-1');
INSERT INTO "edits" VALUES(3,'listener',NULL,0,NULL,0,'ann','',1700000002.5,NULL,'odd "id" é');
INSERT INTO "edits" VALUES(4,'route','8e46abcfb53f89f4d54cf6ed094c947047a8eeac09f77fe4fdc682484881b1d9',0,'8cc70e10bf365575302e18bc8874cb130e6f8bc805798909f9151cc086d8a684',0,'ann','',1700000003.5,4102444800.0,'');
INSERT INTO "edits" VALUES(5,'route','77e684da34be2ea92d6055bc0031cc53a5dc7d11a339fb0bfcff3afd18e7e052',1,'8cc70e10bf365575302e18bc8874cb130e6f8bc805798909f9151cc086d8a684',0,'','gone',1700000004.5,4102444800.25,'');
INSERT INTO "edits" VALUES(6,'route',NULL,0,'8cc70e10bf365575302e18bc8874cb130e6f8bc805798909f9151cc086d8a684',0,'','',1700000005.5,NULL,'');
INSERT INTO "edits" VALUES(7,'route',NULL,0,'c2d3fd73debfbab042ddac459bc6600a95261007a22a0ee514a2d4e69d6a7674',0,'ünal 😀','',1700000006.5,NULL,'');
INSERT INTO "edits" VALUES(8,'route',NULL,0,'c2d3fd73debfbab042ddac459bc6600a95261007a22a0ee514a2d4e69d6a7674',0,'','',1700000007.5,NULL,'');
INSERT INTO "edits" VALUES(9,'policy','a55ec588b94fb65e2628c5432d082965c89a196c0335acde5ea8e84cb37928c0',1,'f7f4ae4a739852a437f8dab290f85b353bf6773c8e3a698eb371b0f49268b662',0,'ann','',1700000008.5,NULL,'');
INSERT INTO "edits" VALUES(10,'policy',NULL,0,'f7f4ae4a739852a437f8dab290f85b353bf6773c8e3a698eb371b0f49268b662',0,'bob','X-Odd: "a\b" ''c'' é ☃ 😀 {d}; -- /* e */ , \n',1700000009.5,NULL,'');
INSERT INTO "edits" VALUES(11,'policy',NULL,0,'e7916d3650afec46fc35bd25bfc76de5f585678d472ffb6cdad888589ea9bca1',0,'','',1700000010.5,NULL,'');
INSERT INTO "edits" VALUES(12,'rule',NULL,0,NULL,0,'','',1700000011.5,4102444800.0,'');
INSERT INTO "edits" VALUES(13,'rule','cd426eb3018a77cc7c04670cce6d178bc64114f7bb12318367cd93ddce521485',1,NULL,0,'','',1700000012.5,NULL,'');
INSERT INTO "edits" VALUES(14,'rule',NULL,0,NULL,0,'','',1700000013.5,NULL,'');
INSERT INTO "edits" VALUES(15,'setting','a970559125d5ccd0dbbbb7685636bbcae5ce7cac4e8d1c6954d2467616a9db8c',0,NULL,0,'','',1700000014.5,NULL,'');
INSERT INTO "edits" VALUES(16,'setting','a19a1584344c1f3783bff51524a5a4b86f2cc09356c9dbfb6af9cd236e314362',0,NULL,0,'ann','',1700000015.5,NULL,'');
INSERT INTO "edits" VALUES(17,'setting','ad57366865126e55649ecb23ae1d48887544976efea46a48eb5d85a6eeb4d306',0,NULL,0,'','',1700000016.5,NULL,'');
INSERT INTO "edits" VALUES(18,'setting','12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126',0,NULL,0,'','',1700000017.5,NULL,'');
INSERT INTO "edits" VALUES(19,'route',NULL,0,'0ad5ad325a503e163ca5604a274f77789797abef318ca60c6f00110ad2fba3ce',1,'','orphaned',1700000018.5,NULL,'');
INSERT INTO "edits" VALUES(20,'policy',NULL,0,'a8476734be231b4fad716175df5fb7afe79b74d9a66734ccc296469618644f1a',1,'','',1700000019.5,NULL,'');
INSERT INTO "edits" VALUES(21,'rule','46ac8838382016516257b1e587b6fff1c766d0b1ece10e1ed0173cd5543d0367',1,NULL,0,'','',1700000020.5,NULL,'');
INSERT INTO "edits" VALUES(22,'rule',NULL,0,NULL,0,'','',1700000021.5,1700000100.0,'');
CREATE TABLE firewall_rules (
            id INTEGER PRIMARY KEY,
            type TEXT NOT NULL CHECK(type IN ('ip','cidr','country')),
            value TEXT NOT NULL, edit_id INTEGER REFERENCES edits(id) ON DELETE CASCADE,
            UNIQUE (type, value)
        );
INSERT INTO "firewall_rules" VALUES(1,'ip','2001:db8::7',12);
INSERT INTO "firewall_rules" VALUES(2,'cidr','198.51.100.0/24',13);
INSERT INTO "firewall_rules" VALUES(3,'country','SE',14);
INSERT INTO "firewall_rules" VALUES(4,'ip','192.0.2.66',21);
INSERT INTO "firewall_rules" VALUES(5,'ip','203.0.113.9',22);
CREATE TABLE l7_policies (
            id INTEGER PRIMARY KEY,
            route_id INTEGER NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
            type TEXT NOT NULL CHECK(type IN ('block_user_agent','require_header')),
            value TEXT NOT NULL, edit_id INTEGER REFERENCES edits(id) ON DELETE CASCADE,
            UNIQUE (route_id, type, value)
        );
INSERT INTO "l7_policies" VALUES(1,6,'require_header','X-Declared',9);
INSERT INTO "l7_policies" VALUES(2,6,'require_header','X-Odd: "a\b" ''c'' é ☃ 😀 {d}; -- /* e */ , \n',10);
INSERT INTO "l7_policies" VALUES(3,4,'block_user_agent','BadBot/1.0',11);
INSERT INTO "l7_policies" VALUES(4,7,'require_header','X-Lost',20);
CREATE TABLE listeners (id INTEGER PRIMARY KEY, addr TEXT NOT NULL UNIQUE, proxy_protocol INTEGER NOT NULL DEFAULT 0, max_connections INTEGER NOT NULL DEFAULT 0, trusted_proxies TEXT NOT NULL DEFAULT '', edit_id INTEGER REFERENCES edits(id) ON DELETE SET NULL);
INSERT INTO "listeners" VALUES(1,'127.44.5.1:17443',0,100,'',1);
INSERT INTO "listeners" VALUES(2,'127.44.5.2:17443',0,0,'',2);
INSERT INTO "listeners" VALUES(3,'127.44.5.3:17443',1,7,'10.0.0.0/8 2001:db8::/32',3);
INSERT INTO "listeners" VALUES(4,'127.44.5.9:17443',0,0,'',NULL);
CREATE TABLE routes (
            id INTEGER PRIMARY KEY,
            listener_id INTEGER NOT NULL REFERENCES listeners(id) ON DELETE CASCADE,
            hostname TEXT NOT NULL,
            backend TEXT NOT NULL, mode TEXT NOT NULL DEFAULT 'l4' CHECK(mode IN ('l4','l7')), tls_cert TEXT NOT NULL DEFAULT '', tls_key TEXT NOT NULL DEFAULT '', backend_tls INTEGER NOT NULL DEFAULT 0, send_proxy_protocol INTEGER NOT NULL DEFAULT 0, backend_ca TEXT NOT NULL DEFAULT '', backend_server_name TEXT NOT NULL DEFAULT '', backend_protocol TEXT NOT NULL DEFAULT 'auto', on_remove TEXT NOT NULL DEFAULT 'drain', edit_id INTEGER REFERENCES edits(id) ON DELETE SET NULL,
            UNIQUE (listener_id, hostname)
        );
INSERT INTO "routes" VALUES(1,1,'declared.example.com','[2001:db8::1]:443','l4','','',0,0,'','','auto','close',4);
INSERT INTO "routes" VALUES(2,1,'removed.example.com','','l4','','',0,0,'','','auto','drain',5);
INSERT INTO "routes" VALUES(3,1,'xn--bcher-kva.example','unix:/run/a "b" \c#''d'' é.sock','l4','','',0,1,'','','auto','drain',6);
INSERT INTO "routes" VALUES(4,3,'*.example.com','[::1]:8443','l7','FOLDER/web.crt','FOLDER/web.key',1,1,'FOLDER/ca.crt','backend.example.com','h2','keep',7);
INSERT INTO "routes" VALUES(5,3,'bad.example.com','app.internal:80','l7','FOLDER/gone.crt','FOLDER/gone.key',0,0,'','','auto','drain',8);
INSERT INTO "routes" VALUES(6,1,'web.example.com','','l4','','',0,0,'','','auto','drain',NULL);
INSERT INTO "routes" VALUES(7,4,'*','127.0.0.1:9','l4','','',0,0,'','','auto','drain',19);
CREATE TABLE settings (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, value TEXT NOT NULL, edit_id INTEGER REFERENCES edits(id) ON DELETE CASCADE);
INSERT INTO "settings" VALUES(1,'proxy.idle_timeout','90.25',15);
INSERT INTO "settings" VALUES(2,'proxy.connect_timeout','3661.0',16);
INSERT INTO "settings" VALUES(3,'limits.header_count','50',17);
INSERT INTO "settings" VALUES(4,'log.access','"FOLDER/access é.log"',18);
CREATE UNIQUE INDEX listeners_edit ON listeners(edit_id);
CREATE UNIQUE INDEX routes_edit ON routes(edit_id);
CREATE UNIQUE INDEX firewall_rules_edit ON firewall_rules(edit_id);
CREATE UNIQUE INDEX l7_policies_edit ON l7_policies(edit_id);
CREATE UNIQUE INDEX settings_edit ON settings(edit_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('edits',24);
COMMIT;
