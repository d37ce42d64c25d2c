import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * Serves Bolt on 127.0.0.1:PORT out of DIRECTORY until it is terminated: {@code Neo4jServer PORT DIRECTORY [auth] [read-only]}.
 *
 * <p>Not through the harness' own builder, which makes a fresh directory at each start: a killed server must find its data again.
 */
public final class Neo4jServer {
    private Neo4jServer() {}

    public static void main(String[] arguments) throws InterruptedException {
        SocketAddress address = new SocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
        Set<String> asked = Set.of(arguments);
        DatabaseManagementService server = new DatabaseManagementServiceBuilder(Path.of(arguments[1]))
                .setConfig(BoltConnector.enabled, true)
                .setConfig(BoltConnector.listen_address, address)
                .setConfig(BoltConnector.advertised_address, address)
                .setConfig(GraphDatabaseSettings.auth_enabled, asked.contains("auth"))
                .setConfig(GraphDatabaseSettings.read_only_database_default, asked.contains("read-only"))
                .build();
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
        System.out.println("ready " + address);
        new CountDownLatch(1).await();
    }
}
