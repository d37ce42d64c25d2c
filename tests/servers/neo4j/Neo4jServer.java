import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.harness.Neo4j;
import org.neo4j.harness.Neo4jBuilders;

/** Serves Bolt on 127.0.0.1:PORT out of DIRECTORY until it is terminated: {@code Neo4jServer PORT DIRECTORY}. */
public final class Neo4jServer {
    private Neo4jServer() {}

    public static void main(String[] arguments) throws InterruptedException {
        SocketAddress address = new SocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
        Neo4j server = Neo4jBuilders.newInProcessBuilder(Path.of(arguments[1]))
                .withDisabledServer()
                .withConfig(BoltConnector.enabled, true)
                .withConfig(BoltConnector.listen_address, address)
                .withConfig(BoltConnector.advertised_address, address)
                .withConfig(GraphDatabaseSettings.auth_enabled, false)
                .build();
        Runtime.getRuntime().addShutdownHook(new Thread(server::close));
        System.out.println("ready " + server.boltURI());
        new CountDownLatch(1).await();
    }
}
