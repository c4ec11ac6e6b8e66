PRAGMA application_id = 1835233400;
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            time REAL NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            author TEXT NOT NULL,
            verified INTEGER NOT NULL,
            reason TEXT NOT NULL,
            request_id TEXT NOT NULL,
            request TEXT NOT NULL,
            outcome TEXT NOT NULL CHECK(outcome IN ('accepted','refused','withdrawn')),
            detail TEXT NOT NULL DEFAULT '',
            answer BLOB,
            confirm_by REAL
        );
INSERT INTO "audit" VALUES(1,1700000000.0,'AddRoute','t','ann',1,'too many
at once "''\ é ☃ 😀','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(2,1700000001.0,'AddRoute','t','bob',0,'moved','q-1','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(3,1700000002.0,'AddRoute','t','ann',1,'','odd "id" é','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(4,1700000003.0,'AddRoute','t','ann',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(5,1700000004.0,'AddRoute','t','',1,'gone','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(6,1700000005.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(7,1700000006.0,'AddRoute','t','ünal 😀',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(8,1700000007.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(9,1700000008.0,'AddRoute','t','ann',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(10,1700000009.0,'AddRoute','t','bob',0,'X-Odd: "a\b" ''c'' é ☃ 😀 {d}; -- /* e */ , \n','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(11,1700000010.0,'AddRoute','t','',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(12,1700000011.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(13,1700000012.0,'AddRoute','t','',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(14,1700000013.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(15,1700000014.0,'AddRoute','t','',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(16,1700000015.0,'AddRoute','t','ann',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(17,1700000016.0,'AddRoute','t','',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(18,1700000017.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(19,1700000018.0,'AddRoute','t','',1,'orphaned','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(20,1700000019.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(21,1700000020.0,'AddRoute','t','',1,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(22,1700000021.0,'AddRoute','t','',0,'','','{}','accepted','',X'0801',NULL);
INSERT INTO "audit" VALUES(23,1700000200.0,'AddRoute','','ann',0,'','','','accepted','',NULL,NULL);
INSERT INTO "audit" VALUES(24,1700000201.0,'RevertEdit','','bob',0,'not needed','','','accepted','',NULL,NULL);
INSERT INTO "audit" VALUES(25,1700000202.0,'Rollback','','ann',0,'','','','withdrawn','it was not confirmed in time',NULL,NULL);
INSERT INTO "audit" VALUES(26,1700000203.0,'AddRoute','','eve',0,'','','','refused','backend: has no port',NULL,NULL);
CREATE TABLE edit_history (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            edit_id INTEGER NOT NULL,
            event TEXT NOT NULL CHECK(event IN
                ('added','restored','replaced','reverted','superseded','expired','withdrawn')),
            time REAL NOT NULL,
            detail TEXT NOT NULL,
            audit_id INTEGER REFERENCES audit(id),
            edit TEXT NOT NULL
        );
INSERT INTO "edit_history" VALUES(1,1,'added',1700000000.0,'too many
at once "''\ é ☃ 😀',1,'{"kind":"listener","key":"127.44.7.1:17443","value":{"addr":"127.44.7.1:17443","proxy_protocol":false,"trusted_proxies":[],"max_connections":100},"base":"1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8","author":"ann","reason":"too many\nat once \"''\\ é ☃ 😀","created":1700000000.5,"expires":null,"request_id":"","id":1,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(2,2,'added',1700000001.0,'moved',2,'{"kind":"listener","key":"127.44.7.2:17443","value":null,"base":"9961e104020da86f8508a30699d11abfb8993d26b7264e65d81379ecc7ebbec3","author":"bob","reason":"moved","created":1700000001.5,"expires":null,"request_id":"q-1","id":2,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(3,3,'added',1700000002.0,'',3,'{"kind":"listener","key":"127.44.7.3:17443","value":{"addr":"127.44.7.3:17443","proxy_protocol":true,"trusted_proxies":["10.0.0.0/8","2001:db8::/32"],"max_connections":7},"base":null,"author":"ann","reason":"","created":1700000002.5,"expires":null,"request_id":"odd \"id\" é","id":3,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(4,4,'added',1700000003.0,'',4,'{"kind":"route","key":["127.44.7.1:17443","declared.example.com"],"value":{"listener":"127.44.7.1:17443","hostname":"declared.example.com","endpoints":[{"host":"2001:db8::1","port":443,"path":""}],"mode":"l4","tls_cert":"","tls_key":"","backend_tls":false,"backend_ca":"","backend_server_name":"","backend_protocol":"auto","send_proxy_protocol":false,"on_remove":"close"},"base":"15285fd5134b5a7feda3021e71a5f9d548839c71dd905153929a5c2524e71b33","author":"ann","reason":"","created":1700000003.5,"expires":4102444800.0,"request_id":"","id":4,"parent":"1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8","orphaned":false}');
INSERT INTO "edit_history" VALUES(5,5,'added',1700000004.0,'gone',5,'{"kind":"route","key":["127.44.7.1:17443","removed.example.com"],"value":null,"base":"845c02cccc46d6ec2b3083e0421579d7cc898417183cd93a8e94889b6787fead","author":"","reason":"gone","created":1700000004.5,"expires":4102444800.25,"request_id":"","id":5,"parent":"1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8","orphaned":false}');
INSERT INTO "edit_history" VALUES(6,6,'added',1700000005.0,'',6,'{"kind":"route","key":["127.44.7.1:17443","xn--bcher-kva.example"],"value":{"listener":"127.44.7.1:17443","hostname":"xn--bcher-kva.example","endpoints":[{"host":"","port":0,"path":"/run/a \"b\" \\c#''d'' é.sock"}],"mode":"l4","tls_cert":"","tls_key":"","backend_tls":false,"backend_ca":"","backend_server_name":"","backend_protocol":"auto","send_proxy_protocol":true,"on_remove":"drain"},"base":null,"author":"","reason":"","created":1700000005.5,"expires":null,"request_id":"","id":6,"parent":"1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8","orphaned":false}');
INSERT INTO "edit_history" VALUES(7,7,'added',1700000006.0,'',7,'{"kind":"route","key":["127.44.7.3:17443","*.example.com"],"value":{"listener":"127.44.7.3:17443","hostname":"*.example.com","endpoints":[{"host":"::1","port":8443,"path":""}],"mode":"l7","tls_cert":"FOLDER/web.crt","tls_key":"FOLDER/web.key","backend_tls":true,"backend_ca":"FOLDER/ca.crt","backend_server_name":"backend.example.com","backend_protocol":"h2","send_proxy_protocol":true,"on_remove":"keep"},"base":null,"author":"ünal 😀","reason":"","created":1700000006.5,"expires":null,"request_id":"","id":7,"parent":"fc5cbfb8771cb08a69883b8f2fd79188e211751259a4ad7e2ee4519f1e0d3e3b","orphaned":false}');
INSERT INTO "edit_history" VALUES(8,8,'added',1700000007.0,'',8,'{"kind":"route","key":["127.44.7.3:17443","bad.example.com"],"value":{"listener":"127.44.7.3:17443","hostname":"bad.example.com","endpoints":[{"host":"app.internal","port":80,"path":""}],"mode":"l7","tls_cert":"FOLDER/gone.crt","tls_key":"FOLDER/gone.key","backend_tls":false,"backend_ca":"","backend_server_name":"","backend_protocol":"auto","send_proxy_protocol":false,"on_remove":"drain"},"base":null,"author":"","reason":"","created":1700000007.5,"expires":null,"request_id":"","id":8,"parent":"fc5cbfb8771cb08a69883b8f2fd79188e211751259a4ad7e2ee4519f1e0d3e3b","orphaned":false}');
INSERT INTO "edit_history" VALUES(9,9,'added',1700000008.0,'',9,'{"kind":"policy","key":["127.44.7.1:17443","web.example.com","require_header","X-Declared"],"value":null,"base":"303e4259088b5998a1cdea2552d756c01cfd4c41fa02eef990735e4f71219e96","author":"ann","reason":"","created":1700000008.5,"expires":null,"request_id":"","id":9,"parent":"7814dab4a9af9d019316d388de24e6a7839855838e50916953d750fcb66da499","orphaned":false}');
INSERT INTO "edit_history" VALUES(10,10,'added',1700000009.0,'X-Odd: "a\b" ''c'' é ☃ 😀 {d}; -- /* e */ , \n',10,'{"kind":"policy","key":["127.44.7.1:17443","web.example.com","require_header","X-Odd: \"a\\b\" ''c'' é ☃ 😀 {d}; -- /* e */ , \\n"],"value":{"listener":"127.44.7.1:17443","hostname":"web.example.com","type":"require_header","value":"X-Odd: \"a\\b\" ''c'' é ☃ 😀 {d}; -- /* e */ , \\n"},"base":null,"author":"bob","reason":"X-Odd: \"a\\b\" ''c'' é ☃ 😀 {d}; -- /* e */ , \\n","created":1700000009.5,"expires":null,"request_id":"","id":10,"parent":"7814dab4a9af9d019316d388de24e6a7839855838e50916953d750fcb66da499","orphaned":false}');
INSERT INTO "edit_history" VALUES(11,11,'added',1700000010.0,'',11,'{"kind":"policy","key":["127.44.7.3:17443","*.example.com","block_user_agent","BadBot/1.0"],"value":{"listener":"127.44.7.3:17443","hostname":"*.example.com","type":"block_user_agent","value":"BadBot/1.0"},"base":null,"author":"","reason":"","created":1700000010.5,"expires":null,"request_id":"","id":11,"parent":"63dd245ee9709f733298672b34845c64f15b6e7e773ed52ab8a4fe6b098203f3","orphaned":false}');
INSERT INTO "edit_history" VALUES(12,12,'added',1700000011.0,'',12,'{"kind":"rule","key":["ip","2001:db8::7"],"value":{"type":"ip","value":"2001:db8::7"},"base":null,"author":"","reason":"","created":1700000011.5,"expires":4102444800.0,"request_id":"","id":12,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(13,13,'added',1700000012.0,'',13,'{"kind":"rule","key":["cidr","198.51.100.0/24"],"value":null,"base":"cd426eb3018a77cc7c04670cce6d178bc64114f7bb12318367cd93ddce521485","author":"","reason":"","created":1700000012.5,"expires":null,"request_id":"","id":13,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(14,14,'added',1700000013.0,'',14,'{"kind":"rule","key":["country","SE"],"value":{"type":"country","value":"SE"},"base":null,"author":"","reason":"","created":1700000013.5,"expires":null,"request_id":"","id":14,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(15,15,'added',1700000014.0,'',15,'{"kind":"setting","key":"proxy.idle_timeout","value":90.25,"base":"a970559125d5ccd0dbbbb7685636bbcae5ce7cac4e8d1c6954d2467616a9db8c","author":"","reason":"","created":1700000014.5,"expires":null,"request_id":"","id":15,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(16,16,'added',1700000015.0,'',16,'{"kind":"setting","key":"proxy.connect_timeout","value":3661.0,"base":"a19a1584344c1f3783bff51524a5a4b86f2cc09356c9dbfb6af9cd236e314362","author":"ann","reason":"","created":1700000015.5,"expires":null,"request_id":"","id":16,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(17,17,'added',1700000016.0,'',17,'{"kind":"setting","key":"limits.header_count","value":50,"base":"ad57366865126e55649ecb23ae1d48887544976efea46a48eb5d85a6eeb4d306","author":"","reason":"","created":1700000016.5,"expires":null,"request_id":"","id":17,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(18,18,'added',1700000017.0,'',18,'{"kind":"setting","key":"log.access","value":"FOLDER/access é.log","base":"12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126","author":"","reason":"","created":1700000017.5,"expires":null,"request_id":"","id":18,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(19,19,'added',1700000018.0,'orphaned',19,'{"kind":"route","key":["127.44.7.9:17443","*"],"value":{"listener":"127.44.7.9:17443","hostname":"*","endpoints":[{"host":"127.0.0.1","port":9,"path":""}],"mode":"l4","tls_cert":"","tls_key":"","backend_tls":false,"backend_ca":"","backend_server_name":"","backend_protocol":"auto","send_proxy_protocol":false,"on_remove":"drain"},"base":null,"author":"","reason":"orphaned","created":1700000018.5,"expires":null,"request_id":"","id":19,"parent":"c45aaadabff40cd82b36c01ca5902ade9d5ca0bca51aeaaeb18ad1689a4d98b8","orphaned":true}');
INSERT INTO "edit_history" VALUES(20,20,'added',1700000019.0,'',20,'{"kind":"policy","key":["127.44.7.9:17443","*","require_header","X-Lost"],"value":{"listener":"127.44.7.9:17443","hostname":"*","type":"require_header","value":"X-Lost"},"base":null,"author":"","reason":"","created":1700000019.5,"expires":null,"request_id":"","id":20,"parent":"19553247d8db58434b5ed1cef882871c1a66e6749dfb5fdeedfb1fc8ff4bc734","orphaned":true}');
INSERT INTO "edit_history" VALUES(21,21,'added',1700000020.0,'',21,'{"kind":"rule","key":["ip","192.0.2.66"],"value":null,"base":"46ac8838382016516257b1e587b6fff1c766d0b1ece10e1ed0173cd5543d0367","author":"","reason":"","created":1700000020.5,"expires":null,"request_id":"","id":21,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(22,22,'added',1700000021.0,'',22,'{"kind":"rule","key":["ip","203.0.113.9"],"value":{"type":"ip","value":"203.0.113.9"},"base":null,"author":"","reason":"","created":1700000021.5,"expires":1700000100.0,"request_id":"","id":22,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(23,23,'added',1700000200.0,'',23,'{"kind":"rule","key":["ip","203.0.113.1"],"value":{"type":"ip","value":"203.0.113.1"},"base":null,"author":"ann","reason":"","created":1700000101.0,"expires":null,"request_id":"","id":23,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(24,23,'reverted',1700000201.0,'not needed',24,'{"kind":"rule","key":["ip","203.0.113.1"],"value":{"type":"ip","value":"203.0.113.1"},"base":null,"author":"ann","reason":"","created":1700000101.0,"expires":null,"request_id":"","id":23,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(25,24,'added',1700000202.0,'',25,'{"kind":"rule","key":["ip","203.0.113.2"],"value":{"type":"ip","value":"203.0.113.2"},"base":null,"author":"ann","reason":"","created":1700000102.0,"expires":null,"request_id":"","id":24,"parent":null,"orphaned":false}');
INSERT INTO "edit_history" VALUES(26,24,'withdrawn',1700000300.0,'it was not confirmed in time',25,'{"kind":"rule","key":["ip","203.0.113.2"],"value":{"type":"ip","value":"203.0.113.2"},"base":null,"author":"ann","reason":"","created":1700000102.0,"expires":null,"request_id":"","id":24,"parent":null,"orphaned":false}');
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
INSERT INTO "edits" VALUES(1,'listener','1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8',0,NULL,0,'ann','too many
at once "''\ é ☃ 😀',1700000000.5,NULL,'');
INSERT INTO "edits" VALUES(2,'listener','9961e104020da86f8508a30699d11abfb8993d26b7264e65d81379ecc7ebbec3',1,NULL,0,'bob','moved',1700000001.5,NULL,'q-1');
INSERT INTO "edits" VALUES(3,'listener',NULL,0,NULL,0,'ann','',1700000002.5,NULL,'odd "id" é');
INSERT INTO "edits" VALUES(4,'route','15285fd5134b5a7feda3021e71a5f9d548839c71dd905153929a5c2524e71b33',0,'1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8',0,'ann','',1700000003.5,4102444800.0,'');
INSERT INTO "edits" VALUES(5,'route','845c02cccc46d6ec2b3083e0421579d7cc898417183cd93a8e94889b6787fead',1,'1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8',0,'','gone',1700000004.5,4102444800.25,'');
INSERT INTO "edits" VALUES(6,'route',NULL,0,'1f0fbb1b330ffbf1cd7cf7097beb2aa511125d832ab1151ebaa295b823fabec8',0,'','',1700000005.5,NULL,'');
INSERT INTO "edits" VALUES(7,'route',NULL,0,'fc5cbfb8771cb08a69883b8f2fd79188e211751259a4ad7e2ee4519f1e0d3e3b',0,'ünal 😀','',1700000006.5,NULL,'');
INSERT INTO "edits" VALUES(8,'route',NULL,0,'fc5cbfb8771cb08a69883b8f2fd79188e211751259a4ad7e2ee4519f1e0d3e3b',0,'','',1700000007.5,NULL,'');
INSERT INTO "edits" VALUES(9,'policy','303e4259088b5998a1cdea2552d756c01cfd4c41fa02eef990735e4f71219e96',1,'7814dab4a9af9d019316d388de24e6a7839855838e50916953d750fcb66da499',0,'ann','',1700000008.5,NULL,'');
INSERT INTO "edits" VALUES(10,'policy',NULL,0,'7814dab4a9af9d019316d388de24e6a7839855838e50916953d750fcb66da499',0,'bob','X-Odd: "a\b" ''c'' é ☃ 😀 {d}; -- /* e */ , \n',1700000009.5,NULL,'');
INSERT INTO "edits" VALUES(11,'policy',NULL,0,'63dd245ee9709f733298672b34845c64f15b6e7e773ed52ab8a4fe6b098203f3',0,'','',1700000010.5,NULL,'');
INSERT INTO "edits" VALUES(12,'rule',NULL,0,NULL,0,'','',1700000011.5,4102444800.0,'');
INSERT INTO "edits" VALUES(13,'rule','cd426eb3018a77cc7c04670cce6d178bc64114f7bb12318367cd93ddce521485',1,NULL,0,'','',1700000012.5,NULL,'');
INSERT INTO "edits" VALUES(14,'rule',NULL,0,NULL,0,'','',1700000013.5,NULL,'');
INSERT INTO "edits" VALUES(15,'setting','a970559125d5ccd0dbbbb7685636bbcae5ce7cac4e8d1c6954d2467616a9db8c',0,NULL,0,'','',1700000014.5,NULL,'');
INSERT INTO "edits" VALUES(16,'setting','a19a1584344c1f3783bff51524a5a4b86f2cc09356c9dbfb6af9cd236e314362',0,NULL,0,'ann','',1700000015.5,NULL,'');
INSERT INTO "edits" VALUES(17,'setting','ad57366865126e55649ecb23ae1d48887544976efea46a48eb5d85a6eeb4d306',0,NULL,0,'','',1700000016.5,NULL,'');
INSERT INTO "edits" VALUES(18,'setting','12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126',0,NULL,0,'','',1700000017.5,NULL,'');
INSERT INTO "edits" VALUES(19,'route',NULL,0,'c45aaadabff40cd82b36c01ca5902ade9d5ca0bca51aeaaeb18ad1689a4d98b8',1,'','orphaned',1700000018.5,NULL,'');
INSERT INTO "edits" VALUES(20,'policy',NULL,0,'19553247d8db58434b5ed1cef882871c1a66e6749dfb5fdeedfb1fc8ff4bc734',1,'','',1700000019.5,NULL,'');
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
INSERT INTO "listeners" VALUES(1,'127.44.7.1:17443',0,100,'',1);
INSERT INTO "listeners" VALUES(2,'127.44.7.2:17443',0,0,'',2);
INSERT INTO "listeners" VALUES(3,'127.44.7.3:17443',1,7,'10.0.0.0/8 2001:db8::/32',3);
INSERT INTO "listeners" VALUES(4,'127.44.7.9:17443',0,0,'',NULL);
CREATE TABLE revisions (
            generation INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            origin TEXT NOT NULL,
            author TEXT NOT NULL,
            file_sha256 TEXT NOT NULL,
            summary TEXT NOT NULL,
            state BLOB NOT NULL,
            plan BLOB NOT NULL
        );
INSERT INTO "revisions" VALUES(1,1700000001.0,'api','ann','abababababababababababababababababababababababababababababababab','1 added',X'780165904B4EC3301086E98522052245CA652C638FA815C7138D2725DD11013B16C00952702101412BF5063D190E5236ED661EDF68FE793C8ED6780607E4BB7D7A99275996E4495AA479965D3D04A9359DE1DF9AB05D8B681915DAE38EA9891A7A22AD01FFBCAB642B143A078A0D3A7FF141D830F8EEF54C6B239F867983B3E2B044CF4E56B09123385DA371EC5FEEC384DF8B220D35122F422D79D9870A35BCD96C60EB8502E2FE738A4A58F7DFD75295B15F4470FC9A1325FBC31C7BA015909846F5FB19CEF705D9301EFC247072F8884E1054B882AD2669DC50A3352A7EE06E4B8D8D6EF0C06CDC8DEF7EFE5B935BA432BE7AF1071BB39927',X'78019D52DB6AC3300CFD15A3D766655903853CEC474A095EAC75A68E1564A7174AFE7D72D2B463CD36D89BA5231FE9E8E802A16B1ACD672861A5B4316820036A9175B4E403949B0BE83ABDA5427041F7D61B0902C668FD2E2550BE6FA0653A9D9747E23D7280ADD038A9F39D7319783C42994B8AEDCE0AD598ADC97B1CC8A5D1739FFDD4CAD910D123DF7BE52FEB65512CD7CBBCCCD745B19A6B276CC6B04CFA509C8DB3563271A49A1C94EFDA05CC2072279D4C024E16937A91D1E853F57DD27F0A61EA22FEA222033DAFE4B68159351F14A2D70D268B841DBD69C9FA38BA974001CA3217A82596408C6875FC902CF4492099F4D51552105DA86A4C45708D067753F0A6EBBD505752725BD894ABF5F8618A03F201B9BA0EF5E5F37DE5A0BB488284C439DCCEA31FE42BC6860E693CC35A2EA7FFE386448EB37EB00E16EA7AA36AA09F4E53A9B489859A76AA66EE63A106AB1E20A5D5D3ABDAC832B7B2CF6DFF0995FD05C2');
INSERT INTO "revisions" VALUES(2,1700000002.0,'api','ann','abababababababababababababababababababababababababababababababab','1 added',X'780165904B4EC3301086E98522052245CA652C638FA815C7138D2725DD11013B16C00952702101412BF5063D190E5236ED661EDF68FE793C8ED6780607E4BB7D7A99275996E4495AA479965D3D04A9359DE1DF9AB05D8B681915DAE38EA9891A7A22AD01FFBCAB642B143A078A0D3A7FF141D830F8EEF54C6B239F867983B3E2B044CF4E56B09123385DA371EC5FEEC384DF8B220D35122F422D79D9870A35BCD96C60EB8502E2FE738A4A58F7DFD75295B15F4470FC9A1325FBC31C7BA015909846F5FB19CEF705D9301EFC247072F8884E1054B882AD2669DC50A3352A7EE06E4B8D8D6EF0C06CDC8DEF7EFE5B935BA432BE7AF1071BB39927',X'78019D52DB6AC3300CFD15A3D766655903853CEC474A095EAC75A68E1564A7174AFE7D72D2B463CD36D89BA5231FE9E8E802A16B1ACD672861A5B4316820036A9175B4E403949B0BE83ABDA5427041F7D61B0902C668FD2E2550BE6FA0653A9D9747E23D7280ADD038A9F39D7319783C42994B8AEDCE0AD598ADC97B1CC8A5D1739FFDD4CAD910D123DF7BE52FEB65512CD7CBBCCCD745B19A6B276CC6B04CFA509C8DB3563271A49A1C94EFDA05CC2072279D4C024E16937A91D1E853F57DD27F0A61EA22FEA222033DAFE4B68159351F14A2D70D268B841DBD69C9FA38BA974001CA3217A82596408C6875FC902CF4492099F4D51552105DA86A4C45708D067753F0A6EBBD505752725BD894ABF5F8618A03F201B9BA0EF5E5F37DE5A0BB488284C439DCCEA31FE42BC6860E693CC35A2EA7FFE386448EB37EB00E16EA7AA36AA09F4E53A9B489859A76AA66EE63A106AB1E20A5D5D3ABDAC832B7B2CF6DFF0995FD05C2');
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
CREATE UNIQUE INDEX audit_request ON audit(request_id) WHERE request_id <> '' AND outcome = 'accepted';
CREATE INDEX audit_confirm ON audit(confirm_by) WHERE confirm_by IS NOT NULL;
CREATE INDEX edit_history_edit ON edit_history(edit_id);
CREATE INDEX edit_history_audit ON edit_history(audit_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('edits',24);
INSERT INTO "sqlite_sequence" VALUES('audit',26);
INSERT INTO "sqlite_sequence" VALUES('edit_history',26);
COMMIT;
